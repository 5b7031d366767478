//! Regions that calls borrow of memory that stays.

use std::sync::Arc;

use kvlease_sys::{ExternalBuffer, ExternalMemory, RegionError};

/// Memory of blocks of these lengths, and the address of each.
fn memory(lens: &[usize]) -> (ExternalMemory, Vec<usize>) {
    let blocks: Vec<_> = lens.iter().map(|len| ExternalBuffer::of_vec(vec![7; *len]).0).collect();
    let addresses = blocks.iter().map(|block| block.as_ref().as_ptr() as usize).collect();
    (ExternalMemory::new(blocks), addresses)
}

#[test]
fn what_is_written_into_regions_is_read_from_them_in_any_order_and_any_cut() {
    let (memory, at) = memory(&[100, 50, 10]);
    let regions = [(at[1] + 40, 10), (at[0], 3), (at[2], 10), (at[0] + 3, 97), (at[1], 0)];
    let mut buffers = memory.buffers(&regions).unwrap();
    for (number, buffer) in buffers.iter_mut().enumerate() {
        buffer.as_mut().fill(number as u8);
    }
    drop(buffers);
    let read = |region| memory.bytes(&[region]).unwrap()[0].as_ref().to_vec();
    assert_eq!(read((at[0], 5)), [1, 1, 1, 3, 3]);
    assert_eq!(read((at[0] + 99, 1)), [3]);
    assert_eq!(read((at[1] + 38, 12)), [7, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(read((at[2], 10)), [2; 10]);
}

#[test]
fn a_region_that_is_not_inside_one_block_is_refused() {
    let (memory, at) = memory(&[100]);
    for (address, len) in [
        (0, 1),
        (at[0] - 1, 1),
        (at[0] - 1, 2),
        (at[0], 101),
        (at[0] + 100, 1),
        (at[0] + 101, 0),
        (at[0] + 1, usize::MAX),
        (usize::MAX, 1),
    ] {
        let outside = RegionError::Outside { address, len };
        assert_eq!(memory.bytes(&[(at[0], 100), (address, len)]).unwrap_err(), outside);
        assert_eq!(memory.buffers(&[(address, len)]).unwrap_err(), outside);
    }
    assert!(memory.bytes(&[(at[0] + 100, 0)]).is_ok());
    let none = ExternalMemory::new(Vec::new());
    assert!(none.bytes(&[(at[0], 1)]).is_err() && none.bytes(&[]).unwrap().is_empty());
}

#[test]
fn two_regions_of_a_call_that_share_a_byte_are_never_written_to() {
    let (memory, at) = memory(&[100]);
    let shared = RegionError::Shared { address: at[0] + 9 };
    assert_eq!(memory.buffers(&[(at[0] + 9, 5), (at[0], 10)]).unwrap_err(), shared);
    assert!(memory.buffers(&[(at[0] + 10, 5), (at[0], 10), (at[0] + 2, 0)]).is_ok());
    // To read from them is another thing.
    assert!(memory.bytes(&[(at[0] + 9, 5), (at[0], 10)]).is_ok());
}

#[test]
fn the_regions_of_each_call_have_a_keep_alive_of_their_own_that_outlives_the_memory() {
    let (block, vector) = ExternalBuffer::of_vec(vec![7; 100]);
    let at = block.as_ref().as_ptr() as usize;
    let memory = ExternalMemory::new(vec![block]);
    let one = memory.bytes(&[(at, 10), (at + 10, 10)]).unwrap();
    let other = memory.bytes(&[(at, 10)]).unwrap();
    let (first, second) = (one[0].keep_alive(), other[0].keep_alive());
    assert_eq!((Arc::strong_count(&first), Arc::strong_count(&second)), (3, 2));
    drop((one, second));
    assert_eq!(Arc::strong_count(&first), 1);
    drop((memory, first));
    assert_eq!(other[0].as_ref(), [7; 10]);
    drop(other);
    assert_eq!(vector.take_back().unwrap(), [7; 100]);
}
