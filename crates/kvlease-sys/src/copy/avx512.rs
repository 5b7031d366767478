//! Copies with 64-byte stores.

use std::arch::x86_64::{__m512i, _mm512_loadu_si512, _mm512_stream_si512};

super::streaming::streaming!("avx512f", __m512i, _mm512_loadu_si512, _mm512_stream_si512);
