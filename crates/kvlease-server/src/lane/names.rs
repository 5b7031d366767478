//! Names of a frame that are kept beyond it.

/// Names in one piece of memory, each in its place. Names that are not needed are empty.
#[derive(Default)]
pub(super) struct Names {
    text: String,
    /// Where each name ends.
    ends: Vec<u32>,
}

impl Names {
    /// Memory of the names, of the slices of them, and of what belongs to `each`.
    pub(super) fn memory(&self, each: usize) -> usize {
        let each = each + size_of::<&str>() + size_of::<u32>();
        self.text.len() + self.ends.len() * each
    }

    pub(super) fn as_slices(&self) -> Vec<&str> {
        let mut from = 0;
        let name =
            |end: &u32| &self.text[std::mem::replace(&mut from, *end as usize)..*end as usize];
        self.ends.iter().map(name).collect()
    }
}

impl<'a> FromIterator<&'a str> for Names {
    fn from_iter<I: IntoIterator<Item = &'a str>>(names: I) -> Self {
        let mut all = Self::default();
        for name in names {
            all.text.push_str(name);
            all.ends.push(u32::try_from(all.text.len()).expect("the names were in one frame"));
        }
        all.text.shrink_to_fit();
        all.ends.shrink_to_fit();
        all
    }
}
