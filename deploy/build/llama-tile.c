// Read into ggml-cpu/arch/x86/quants.c by llama-build.cmake, behind ggml_vec_dot_q4_1_q8_1, whose result for each row and
// column this gives bit by bit, the sums in the same order. That one unpacks a block of weights for every column anew and
// looks its halves up in a table; here four rows meet up to four columns, and a block is unpacked once for all of them.
#if defined(__AVX2__) && defined(__F16C__) && defined(__FMA__)

// The two halves that each of `count` blocks begins with: the first ones and the second ones, as floats.
static inline __attribute__((always_inline)) void halves_of(const void * const * blocks, int count, __m128 * first, __m128 * second) {
    int pairs[4] = {0, 0, 0, 0};
#pragma GCC unroll 4
    for (int i = 0; i < count; ++i) {
        memcpy(&pairs[i], blocks[i], sizeof(int));
    }
    const __m256 floats = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *) pairs));
    const __m128 lower = _mm256_castps256_ps128(floats), upper = _mm256_extractf128_ps(floats, 1);
    *first  = _mm_shuffle_ps(lower, upper, 0x88);
    *second = _mm_shuffle_ps(lower, upper, 0xDD);
}

static inline __attribute__((always_inline)) void tile_q4_1(
        int nb, float * s, size_t bs, const char * x, size_t bx, const char * y, size_t by, const int columns) {
    __m256 acc[4][4];
    __m128 summs[4];
#pragma GCC unroll 4
    for (int row = 0; row < 4; ++row) {
        summs[row] = _mm_setzero_ps();
#pragma GCC unroll 4
        for (int column = 0; column < columns; ++column) {
            acc[row][column] = _mm256_setzero_ps();
        }
    }

    for (int ib = 0; ib < nb; ++ib) {
        const void * weights[4];
        const void * tokens[4];
#pragma GCC unroll 4
        for (int row = 0; row < 4; ++row) {
            weights[row] = (const block_q4_1 *) (x + row*bx) + ib;
        }
#pragma GCC unroll 4
        for (int column = 0; column < columns; ++column) {
            tokens[column] = (const block_q8_1 *) (y + column*by) + ib;
        }
        __m128 dx, mx, dy, sy;
        halves_of(weights, 4, &dx, &mx);
        halves_of(tokens, columns, &dy, &sy);
        float d0[4], m[4], d0d1[4];
        _mm_storeu_ps(d0, dx);
        _mm_storeu_ps(m, mx);
#pragma GCC unroll 4
        for (int row = 0; row < 4; ++row) {
            summs[row] = _mm_fmadd_ps(_mm_broadcast_ss(&m[row]), sy, summs[row]);
            _mm_storeu_ps(d0d1, _mm_mul_ps(_mm_broadcast_ss(&d0[row]), dy));
            const __m256i qx = bytes_from_nibbles_32(((const block_q4_1 *) weights[row])->qs);
#pragma GCC unroll 4
            for (int column = 0; column < columns; ++column) {
                const __m256i qy = _mm256_loadu_si256((const __m256i *) ((const block_q8_1 *) tokens[column])->qs);
                acc[row][column] =
                    _mm256_fmadd_ps(_mm256_broadcast_ss(&d0d1[column]), mul_sum_us8_pairs_float(qx, qy), acc[row][column]);
            }
        }
    }

#pragma GCC unroll 4
    for (int row = 0; row < 4; ++row) {
        float summs_of[4];
        _mm_storeu_ps(summs_of, summs[row]);
#pragma GCC unroll 4
        for (int column = 0; column < columns; ++column) {
            s[column*bs + row] = hsum_float_8(acc[row][column]) + summs_of[column];
        }
    }
}

// s[column*bs + row] of `rows` rows of weights, bx bytes apart, and `columns` columns of n numbers, by bytes apart.
void ggml_tile_q4_1_q8_1(int n, float * s, size_t bs, const void * vx, size_t bx, const void * vy, size_t by, int rows, int columns) {
    const int nb = n / QK8_1;
    const int whole = rows - rows % 4;
    for (int column = 0; column < columns; column += 4) {
        const char * y = (const char *) vy + column*by;
        for (int row = 0; row < whole; row += 4) {
            const char * x = (const char *) vx + row*bx;
            float * to = s + column*bs + row;
            switch (columns - column) {
                case 1:  tile_q4_1(nb, to, bs, x, bx, y, by, 1); break;
                case 2:  tile_q4_1(nb, to, bs, x, bx, y, by, 2); break;
                case 3:  tile_q4_1(nb, to, bs, x, bx, y, by, 3); break;
                default: tile_q4_1(nb, to, bs, x, bx, y, by, 4);
            }
        }
    }
    for (int row = whole; row < rows; ++row) {
        for (int column = 0; column < columns; ++column) {
            ggml_vec_dot_q4_1_q8_1(n, s + column*bs + row, 0, (const char *) vx + row*bx, 0, (const char *) vy + column*by, 0, 1);
        }
    }
}
#endif

