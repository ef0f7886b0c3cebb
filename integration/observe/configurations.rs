//! Their configurations.
