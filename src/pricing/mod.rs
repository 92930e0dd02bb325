//! (stub)
use crate::model::*;
/// stub
pub struct PriceBook;
impl PriceBook {
    /// stub
    pub fn builtin() -> &'static PriceBook {
        &PriceBook
    }
    /// stub
    pub fn price(&self, _c: Channel, _m: Option<&str>, _t: &ServiceTier, _d: Day, _u: &TokenUsage) -> Priced {
        Priced::default()
    }
}
