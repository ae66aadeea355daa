//! "Did you mean": the nearest of the words that would have been right.

/// The candidate nearest to `word`, if it is near enough to be a slip of the pen.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| {
            (
                strsim::damerau_levenshtein(&word, &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(distance, candidate)| {
            let length = candidate.len().max(word.len());
            *distance <= length.div_ceil(3) && *distance < length
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// A hint for an unknown word: the nearest candidate, else all of them.
pub fn hint<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str> + Clone,
) -> Option<String> {
    if let Some(candidate) = nearest(word, candidates.clone()) {
        return Some(format!("did you mean `{candidate}`?"));
    }
    let candidates: Vec<_> = candidates.into_iter().collect();
    (!candidates.is_empty()).then(|| format!("known here: {}", listed(&candidates, "and")))
}

/// Words in backticks with commas and a conjunction: "`a`, `b` and `c`".
pub fn listed(words: &[impl AsRef<str>], conjunction: &str) -> String {
    let quoted: Vec<_> = words
        .iter()
        .map(|word| format!("`{}`", word.as_ref()))
        .collect();
    match quoted.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} {conjunction} {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_word_and_a_stranger_finds_none() {
        let keys = ["momentum", "weight_decay", "nesterov"];
        assert_eq!(nearest("weight_decy", keys), Some("weight_decay"));
        assert_eq!(nearest("Momentum", keys), Some("momentum"));
        assert_eq!(nearest("banana", keys), None);
        assert_eq!(nearest("D", ["A", "B"]), None);
        assert_eq!(
            hint("banana", keys).unwrap(),
            "known here: `momentum`, `weight_decay` and `nesterov`"
        );
    }
}
