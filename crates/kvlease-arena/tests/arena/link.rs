//! The names of the arena, under clients that unlink them.

use std::{fs, os::unix::fs::MetadataExt};

use kvlease_arena::{ArenaError, LinkStatus};

use crate::fixture::Fixture;

#[test]
fn an_unlinked_public_name_comes_back_with_the_same_inode() {
    let fixture = Fixture::new();
    let arena = fixture.open();
    assert_eq!(arena.keep_linked().unwrap(), LinkStatus::Intact);
    let inode = fixture.inode();
    fixture.remove_public();
    assert_eq!(arena.keep_linked().unwrap(), LinkStatus::Restored);
    assert_eq!(fixture.inode(), inode);
    assert_eq!(arena.keep_linked().unwrap(), LinkStatus::Intact);
}

#[test]
fn a_lost_private_link_is_made_again_from_the_public_name() {
    let fixture = Fixture::new();
    let arena = fixture.open();
    fs::remove_file(fixture.private("arena")).unwrap();
    assert_eq!(arena.keep_linked().unwrap(), LinkStatus::Intact);
    assert_eq!(fs::metadata(fixture.private("arena")).unwrap().ino(), fixture.inode());
    fixture.remove_public();
    assert_eq!(arena.keep_linked().unwrap(), LinkStatus::Restored);
}

#[test]
fn a_public_name_that_another_file_took_is_reported_and_left_alone() {
    let fixture = Fixture::new();
    let arena = fixture.open();
    fixture.remove_public();
    fs::write(fixture.public(), b"other").unwrap();
    assert_eq!(arena.keep_linked().unwrap(), LinkStatus::Taken);
    assert_eq!(fs::read(fixture.public()).unwrap(), b"other");
    fixture.remove_public();
    assert_eq!(arena.keep_linked().unwrap(), LinkStatus::Restored);
}

#[test]
fn an_arena_without_any_name_is_an_error() {
    let fixture = Fixture::new();
    let arena = fixture.open();
    fs::remove_file(fixture.private("arena")).unwrap();
    fixture.remove_public();
    let error = arena.keep_linked().unwrap_err();
    assert!(matches!(error, ArenaError::Unlinked { .. }), "{error}");
    assert!(error.to_string().contains("restart"), "{error}");
}
