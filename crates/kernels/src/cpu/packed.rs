//! Weights in the order that products want, kept as long as they stay the same.
//!
//! In evaluation, the same weight is used batch after batch, and for a single image putting it in
//! order costs as much as the products. What is kept holds the weight itself, too: memory that
//! somebody else holds is never written in place, so that as long as it is kept, it is what it was.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use burn::backend::flex::FlexTensor;
use burn::tensor::Shape;

use super::dispatch::lanes;
use super::product::Panels;

/// The orders that a weight is kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Order {
    /// A matrix for each of so many groups, from the values of all taps to the filters.
    Taps(usize),
    /// Winograd's planes.
    Planes,
}

#[derive(PartialEq, Eq, Hash)]
struct Key {
    address: usize,
    shape: Shape,
    order: Order,
    lanes: usize,
}

struct Kept {
    weight: FlexTensor,
    panels: Arc<Vec<Panels>>,
}

static KEPT: LazyLock<Mutex<HashMap<Key, Kept>>> = LazyLock::new(Mutex::default);

/// The contiguous weight in this order, which `pack` makes where it is not kept.
pub(crate) fn keep(
    weight: &FlexTensor,
    order: Order,
    pack: impl FnOnce() -> Vec<Panels>,
) -> Arc<Vec<Panels>> {
    let key = Key {
        address: weight.storage::<f32>().as_ptr() as usize,
        shape: weight.layout().shape().clone(),
        order,
        lanes: lanes(),
    };
    if let Some(kept) = kept().get(&key) {
        return Arc::clone(&kept.panels);
    }
    // Other threads may use other weights meanwhile.
    let panels = Arc::new(pack());
    let entry = Kept {
        weight: weight.clone(),
        panels: Arc::clone(&panels),
    };
    let mut kept = kept();
    // What nobody else holds, is of a network that is gone.
    kept.retain(|_, kept| !kept.weight.is_unique());
    kept.insert(key, entry);
    panels
}

/// Keeps nothing any more: weights are about to change.
pub(crate) fn forget() {
    kept().clear();
}

fn kept() -> MutexGuard<'static, HashMap<Key, Kept>> {
    // A panic elsewhere leaves whole entries.
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}
