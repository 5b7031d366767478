//! Copies with 32-byte stores.

use std::arch::x86_64::{__m256i, _mm256_loadu_si256, _mm256_stream_si256};

super::streaming::streaming!("avx2", __m256i, _mm256_loadu_si256, _mm256_stream_si256);
