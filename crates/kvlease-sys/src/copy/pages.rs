//! Pages that are read in turns.
//!
//! A processor's own prefetchers run ahead within a page and stop at its end, and Intel's do so in several
//! pages at once. One line of each of four pages in turn keeps more requests to memory under way than all lines of
//! one page after the other do. The loads of a turn come before its stores: a store whose address has the same last
//! 12 bits as the next load holds that load up.

/// Bytes of a page.
pub(crate) const PAGE: usize = 4 << 10;

/// Pages that are read in turns. Two are slower, and eight gain nothing over them.
pub(crate) const PAGES: usize = 4;

/// Bytes of the pages that are read in turns.
pub(crate) const GROUP: usize = PAGES * PAGE;
