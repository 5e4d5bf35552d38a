//! Where a response is driven.

use serde::{Deserialize, Serialize};

/// Where a unit's response is driven.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Towards {
    Max,
    Min,
    /// A percentile of the natural responses.
    Percentile(f64),
    /// An objective over several units.
    Objective,
}

impl Towards {
    /// +1, -1, or 0 where there is no sign.
    pub fn sign(self) -> f64 {
        match self {
            Self::Max => 1.0,
            Self::Min => -1.0,
            Self::Percentile(_) | Self::Objective => 0.0,
        }
    }

    /// `max`, `min`, `p90` or `objective`.
    pub fn name(self) -> String {
        match self {
            Self::Max => "max".into(),
            Self::Min => "min".into(),
            Self::Percentile(p) => format!("p{p}"),
            Self::Objective => "objective".into(),
        }
    }
}
