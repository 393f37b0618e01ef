//! Lists that come in pages. They must come to an end: a part of one is never taken for all of it.

use super::AwsError;
use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
};

/// Most pages of a list. The longest that AWS's quotas allow are the 5,000 services of a cluster and the 100,000 images of
/// a repository, in pages of 10 and of 1,000 at the least.
const MOST: usize = 500;

/// The pages of one list.
pub(super) struct Pages {
    operation: &'static str,
    hasher: RandomState,
    seen: HashSet<u64>,
}

impl Pages {
    /// The pages of a call's list.
    pub(super) fn of(operation: &'static str) -> Self {
        Self { operation, hasher: RandomState::new(), seen: HashSet::new() }
    }

    /// The token of the next page; none after the last one.
    ///
    /// # Errors
    /// When this page was read before, or when there are more than anybody would have.
    pub(super) fn next(&mut self, token: Option<&str>) -> Result<Option<String>, AwsError> {
        let Some(token) = token.filter(|token| !token.is_empty()) else { return Ok(None) };
        if !self.seen.insert(self.hasher.hash_one(token)) {
            return Err(AwsError::endless(self.operation, "the list does not end: the next page is one that was read"));
        }
        if self.seen.len() >= MOST {
            return Err(AwsError::endless(self.operation, format!("the list has more than {MOST} pages")));
        }
        Ok(Some(token.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // H15
    #[test]
    fn a_list_ends_or_is_an_error() {
        let mut pages = Pages::of("ecs:ListServices");
        assert_eq!(pages.next(None), Ok(None));
        assert_eq!(pages.next(Some("")), Ok(None));
        assert_eq!(pages.next(Some("a")), Ok(Some("a".to_owned())));
        assert_eq!(pages.next(Some("b")), Ok(Some("b".to_owned())));
        let error = pages.next(Some("a")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "failed to call ecs:ListServices: the list does not end: the next page is one that was read"
        );
        let mut pages = Pages::of("ecs:ListServices");
        let error = (0..).find_map(|page: usize| pages.next(Some(&page.to_string())).err()).unwrap();
        assert_eq!(error.text, "the list has more than 500 pages");
    }
}
