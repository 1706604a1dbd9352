//! Listings that can be walked to their end.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A stretch of a listing, oldest first.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Give it as `cursor` to go on; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
