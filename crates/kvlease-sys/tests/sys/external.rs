//! Buffers over the memory of a caller.

use kvlease_sys::ExternalBuffer;

#[test]
fn a_vector_comes_back_when_no_part_of_it_is_left() {
    let (mut buffer, vector) = ExternalBuffer::of_vec(vec![1; 10]);
    let mut front = buffer.split_to(4);
    front.as_mut().fill(2);
    buffer.as_mut().fill(3);
    drop(front.join(buffer));
    assert_eq!(vector.take_back().unwrap(), [2, 2, 2, 2, 3, 3, 3, 3, 3, 3]);
    let (mut buffer, vector) = ExternalBuffer::of_vec(vec![1; 10]);
    let front = buffer.split_to(0);
    drop(buffer);
    assert!(front.is_empty() && vector.take_back().is_none());
}

#[test]
#[should_panic(expected = "only neighbours are joined")]
fn parts_that_are_no_neighbours_are_never_joined() {
    let (mut buffer, _) = ExternalBuffer::of_vec(vec![1; 10]);
    let front = buffer.split_to(2);
    let _ = buffer.split_to(2);
    drop(front.join(buffer));
}
