//! Where the names of bubbles stand, so that no name lies over another.

/// A bubble and its name, in pixels.
#[derive(Clone, Copy, Debug)]
pub struct Bubble {
    /// Where it is, from the left and from the top.
    pub center: [i32; 2],
    /// Of the bubble.
    pub radius: i32,
    /// Width and height of its name.
    pub name: [i32; 2],
}

/// Left, top, right and bottom.
type Frame = [i32; 4];

/// Between a bubble and its name.
const GAP: i32 = 4;
/// How many heights of a name it is moved at most.
const ROWS: i32 = 5;

/// Of each bubble's name, left and top as seen from the bubble's centre: beside it, left of it, above or below, else higher
/// or lower beside it, whatever is free first of the edges at `[width, height]`, of the names before and of the other
/// bubbles; where nothing is, what is free but for the bubbles.
pub fn offsets(bubbles: &[Bubble], [width, height]: [i32; 2]) -> Vec<[i32; 2]> {
    let mut names: Vec<Frame> = Vec::with_capacity(bubbles.len());
    let mut offsets = Vec::with_capacity(bubbles.len());
    for (index, bubble) in bubbles.iter().enumerate() {
        let candidates = bubble.candidates();
        let is_free = |offset: &&[i32; 2]| {
            let frame @ [left, top, right, bottom] = bubble.frame(**offset);
            let is_inside = left >= 0 && top >= 0 && right <= width && bottom <= height;
            is_inside && !names.iter().any(|name| overlap(frame, *name))
        };
        let hides_no_bubble = |offset: &&[i32; 2]| {
            let others = bubbles.iter().enumerate().filter(|(at, _)| *at != index);
            let mut around = others.map(|(_, other)| other.around());
            !around.any(|other| overlap(bubble.frame(**offset), other))
        };
        let free = candidates.iter().filter(is_free);
        let offset = (free.clone().find(hides_no_bubble))
            .or_else(|| free.clone().next())
            .unwrap_or(&candidates[0]);
        names.push(bubble.frame(*offset));
        offsets.push(*offset);
    }
    offsets
}

impl Bubble {
    /// Where its name may stand, the best place first.
    fn candidates(&self) -> Vec<[i32; 2]> {
        let [width, height] = self.name;
        let (away, middle) = (self.radius + GAP, -height / 2);
        let around = [
            [away, middle],
            [-away - width, middle],
            [-width / 2, -away - height],
            [-width / 2, away],
        ];
        let moved = (1..=ROWS).flat_map(|row| [-row, row]);
        let beside = moved.map(|rows| [away, middle + rows * height]);
        around.into_iter().chain(beside).collect()
    }

    /// The square around it.
    fn around(&self) -> Frame {
        let ([x, y], radius) = (self.center, self.radius);
        [x - radius, y - radius, x + radius, y + radius]
    }

    /// Of its name.
    fn frame(&self, [left, top]: [i32; 2]) -> Frame {
        let (left, top) = (self.center[0] + left, self.center[1] + top);
        [left, top, left + self.name[0], top + self.name[1]]
    }
}

fn overlap(one: Frame, other: Frame) -> bool {
    one[0] < other[2] && other[0] < one[2] && one[1] < other[3] && other[1] < one[3]
}

#[cfg(test)]
mod tests {
    use super::*;

    const AREA: [i32; 2] = [800, 400];

    fn bubble(x: i32, y: i32) -> Bubble {
        Bubble {
            center: [x, y],
            radius: 10,
            name: [100, 20],
        }
    }

    #[test]
    fn a_name_that_is_alone_stands_beside_its_bubble() {
        assert_eq!(offsets(&[bubble(50, 50)], AREA), [[14, -10]]);
        let at_the_edge = offsets(&[bubble(750, 50)], AREA);
        assert_eq!(at_the_edge, [[-114, -10]]);
    }

    #[test]
    fn a_name_hides_no_bubble_where_there_is_room() {
        let neighbours = [bubble(200, 100), bubble(240, 100)];
        let [first, second] = offsets(&neighbours, AREA)[..] else {
            panic!("a place for each name")
        };
        assert_eq!(first, [-114, -10], "to the left");
        assert_eq!(second, [14, -10], "to the right");
    }

    #[test]
    fn names_lie_over_no_other_where_bubbles_do() {
        let crowd: Vec<Bubble> = (0..7).map(|at| bubble(200 + 5 * at, 100)).collect();
        let offsets = offsets(&crowd, AREA);
        let frames: Vec<Frame> = (crowd.iter().zip(offsets))
            .map(|(bubble, offset)| bubble.frame(offset))
            .collect();
        for (index, frame) in frames.iter().enumerate() {
            assert!(!frames[..index].iter().any(|other| overlap(*frame, *other)));
        }
    }

    #[test]
    fn where_nothing_is_free_a_name_still_stands() {
        let crowd = [bubble(20, 50); 40];
        assert_eq!(offsets(&crowd, [60, 60]), [[14, -10]; 40]);
    }
}
