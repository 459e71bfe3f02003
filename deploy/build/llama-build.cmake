# Read in the middle of llama-cpp-python's own `project()` call (CMAKE_PROJECT_llama_cpp_INCLUDE).
#
# Its CMakeLists forces LLAMA_BUILD_COMMON to ON in the cache. A normal variable set here wins over that (policy
# CMP0126, NEW since CMake 3.21, which the package asks for). `common` is the toolbox of llama.cpp's command line
# programs: Hearth loads none of it, and it is most of the compile: 1 min 47 s without, 6 to 8 min with, on 2 cores.
set(LLAMA_BUILD_COMMON OFF)

# Intel's AMX is left out of what GCC compiles: in GCC 12 `_tile_loadconfig` declares 8 of its 64 bytes as input, the stores
# of the rest are dropped, and the first prompt ends the process. The flags must stand behind -march=native, which names
# AMX itself on such a processor; nothing but the rule that calls the compiler stands behind a target's own options.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$")
    foreach(language C CXX)
        set(CMAKE_${language}_COMPILE_OBJECT
            "<CMAKE_${language}_COMPILER> <DEFINES> <INCLUDES> <FLAGS> -mno-amx-tile -mno-amx-int8 -mno-amx-bf16 -o <OBJECT> -c <SOURCE>")
    endforeach()
endif()

# Puts `new` in the place of `old` in a file of llama.cpp, once; stops when neither stands there.
function(hearth_replace file old new)
    set(path "${CMAKE_CURRENT_SOURCE_DIR}/vendor/llama.cpp/${file}")
    file(READ "${path}" text)
    string(FIND "${text}" "${new}" done)
    if(done GREATER -1)
        return()
    endif()
    string(FIND "${text}" "${old}" found)
    if(found EQUAL -1)
        message(FATAL_ERROR "${path} is not the one that llama-build.cmake was written for: look at what it does there.")
    endif()
    string(REPLACE "${old}" "${new}" text "${text}")
    file(WRITE "${path}" "${text}")
endfunction()

# What follows concerns llamafile's kernels for products of matrices; docs/decisions/0009 has the figures.
#
# They begin at 2 tokens. Those for floats add in another order than the kernels for one token, so that a guess computed
# together with the token before it could change an answer. With AVX-512 they take every number of tokens here, and then
# all are computed alike. Elsewhere they begin at 8, as llama.cpp itself asks of them on ARM: then fewer tokens are
# computed alike however many they are. Those for quantised weights add in the same order and stay as they are.
hearth_replace(ggml/src/ggml-cpu/llamafile/sgemm.cpp
[=[
#if !defined(__MMA__)
    if (n < 2)
]=] [=[
#if defined(__AVX512F__)
    if (n < 2 && ggml_is_quantized((enum ggml_type) Atype))
        return false;
#elif !defined(__MMA__)
    if (n < (ggml_is_quantized((enum ggml_type) Atype) ? 2 : 8))
]=])

# The heads that share one head of the KV cache stand one behind the other: one product instead of one for each reads the
# cache once for all of them, with fewer barriers.
hearth_replace(ggml/src/ggml-cpu/ggml-cpu.c
[=[
            for (int64_t i12 = 0; i12 < ne12; i12++)
                if (!llamafile_sgemm(params,
                                     ne01, ne11, ne00/ggml_blck_size(src0->type),
                                     (const char *)src0->data + i12/r2*nb02 + i13/r3*nb03,
                                     nb01/ggml_type_size(src0->type),
                                     (const char *)wdata +]=] [=[
            for (int64_t i12 = 0; i12 < ne12; i12 += shared)
                if (!llamafile_sgemm(params,
                                     ne01, ne11*shared, ne00/ggml_blck_size(src0->type),
                                     (const char *)src0->data + i12/r2*nb02 + i13/r3*nb03,
                                     nb01/ggml_type_size(src0->type),
                                     (const char *)wdata +]=])
hearth_replace(ggml/src/ggml-cpu/ggml-cpu.c
[=[
        const void* wdata = (src1->type == vec_dot_type) ? src1->data : params->wdata;
        const size_t row_size = ggml_row_size(vec_dot_type, ne10);

        for (int64_t i13 = 0; i13 < ne13; i13++)
            for (int64_t i12 = 0; i12 < ne12; i12 += shared)
]=] [=[
        const void* wdata = (src1->type == vec_dot_type) ? src1->data : params->wdata;
        const size_t row_size = ggml_row_size(vec_dot_type, ne10);
#if defined(__AVX512F__)
        const int64_t shared = nb2 == ne1*nb1 ? r2 : 1;
#else
        const int64_t shared = 1;
#endif

        for (int64_t i13 = 0; i13 < ne13; i13++)
            for (int64_t i12 = 0; i12 < ne12; i12 += shared)
]=])

# Several replies have a product for each of their heads, all of them small, and threads met at the beginning and the end of
# each: where there are enough, each thread computes products of its own.
hearth_replace(ggml/src/ggml-cpu/ggml-cpu.c
[=[
        for (int64_t i13 = 0; i13 < ne13; i13++)
            for (int64_t i12 = 0; i12 < ne12; i12 += shared)
                if (!llamafile_sgemm(params,
]=] [=[
        const int64_t products = ne13*(ne12/shared);
        const bool apart = products >= 4*nth && !ggml_is_quantized(src0->type);
        struct ggml_compute_params alone = *params;
        if (apart) {
            alone.ith = 0;
            alone.nth = 1;
        }
        int64_t product = 0;

        for (int64_t i13 = 0; i13 < ne13; i13++)
            for (int64_t i12 = 0; i12 < ne12; i12 += shared)
                if (apart && product++ % nth != ith)
                    continue;
                else if (!llamafile_sgemm(&alone,
]=])
hearth_replace(ggml/src/ggml-cpu/llamafile/sgemm.cpp
[=[
            ggml_threadpool_chunk_set(params->threadpool, params->nth);
        }

        ggml_barrier(params->threadpool);
]=] [=[
            if (params->nth > 1) {
                ggml_threadpool_chunk_set(params->threadpool, params->nth);
            }
        }

        if (params->nth > 1) {
            ggml_barrier(params->threadpool);
        }
]=])
hearth_replace(ggml/src/ggml-cpu/llamafile/sgemm.cpp
[=[
            job = ggml_threadpool_chunk_add(params->threadpool, 1);
        }

        ggml_barrier(params->threadpool);
]=] [=[
            job = params->nth > 1 ? ggml_threadpool_chunk_add(params->threadpool, 1) : job + 1;
        }

        if (params->nth > 1) {
            ggml_barrier(params->threadpool);
        }
]=])

# Heads are short, so that adding up the lanes of each sum costs more than the products: four sums at once.
hearth_replace(ggml/src/ggml-cpu/llamafile/sgemm.cpp
[=[
// FLOATING POINT MATRIX MULTIPLICATION

template <int M>
]=] [=[
// FLOATING POINT MATRIX MULTIPLICATION

#if defined(__AVX512F__)
static inline __m128 hsum_of_four(__m512 a, __m512 b, __m512 c, __m512 d) {
    const __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
    const __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
    const __m512 lanes = _mm512_add_ps(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xEE));
    const __m256 upper = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(lanes), 1));
    const __m256 halves = _mm256_add_ps(_mm512_castps512_ps256(lanes), upper);
    return _mm_add_ps(_mm256_castps256_ps128(halves), _mm256_extractf128_ps(halves, 1));
}
#endif

template <int M>
]=])

# Here they are added. And GCC 12 keeps a tile's sums in memory around the loop over the numbers of a head: as many stores
# as products. Unrolled where they stand, the loops over the tile leave them in registers.
hearth_replace(ggml/src/ggml-cpu/llamafile/sgemm.cpp
[=[
    inline void gemm_bloc(int64_t ii, int64_t jj) {
        D Cv[RN][RM] = {};
        for (int64_t l = 0; l < k; l += KN) {
            // help compiler for op order.
            if constexpr (RM <= RN) {
                V Av[RM];
                for (int64_t i = 0; i < RM; ++i) {
                    Av[i] = load<V>(A + lda * (ii + i) + l);
                }
                for (int64_t j = 0; j < RN; ++j) {
                    V Bv = load<V>(B + ldb * (jj + j) + l);
                    for (int64_t i = 0; i < RM; ++i) {
                        Cv[j][i] = madd(Av[i], Bv, Cv[j][i]);
                    }
                }
            } else {
                V Bv[RN];
                for (int64_t j = 0; j < RN; ++j) {
                    Bv[j] = load<V>(B + ldb * (jj + j) + l);
                }
                for (int64_t i = 0; i < RM; ++i) {
                    V Av = load<V>(A + lda * (ii + i) + l);
                    for (int64_t j = 0; j < RN; ++j) {
                        Cv[j][i] = madd(Av, Bv[j], Cv[j][i]);
                    }
                }
            }
        }
        for (int64_t j = 0; j < RN; ++j)
            for (int64_t i = 0; i < RM; ++i)
                C[ldc * (jj + j) + (ii + i)] = hsum(Cv[j][i]);
    }
]=] [=[
    inline void gemm_bloc(int64_t ii, int64_t jj) {
        D Cv[RN][RM];
#pragma GCC unroll 6
        for (int64_t j = 0; j < RN; ++j)
#pragma GCC unroll 6
            for (int64_t i = 0; i < RM; ++i)
                Cv[j][i] = D{};
        for (int64_t l = 0; l < k; l += KN) {
            // help compiler for op order.
            if constexpr (RM <= RN) {
                V Av[RM];
#pragma GCC unroll 6
                for (int64_t i = 0; i < RM; ++i) {
                    Av[i] = load<V>(A + lda * (ii + i) + l);
                }
#pragma GCC unroll 6
                for (int64_t j = 0; j < RN; ++j) {
                    V Bv = load<V>(B + ldb * (jj + j) + l);
#pragma GCC unroll 6
                    for (int64_t i = 0; i < RM; ++i) {
                        Cv[j][i] = madd(Av[i], Bv, Cv[j][i]);
                    }
                }
            } else {
                V Bv[RN];
#pragma GCC unroll 6
                for (int64_t j = 0; j < RN; ++j) {
                    Bv[j] = load<V>(B + ldb * (jj + j) + l);
                }
#pragma GCC unroll 6
                for (int64_t i = 0; i < RM; ++i) {
                    V Av = load<V>(A + lda * (ii + i) + l);
#pragma GCC unroll 6
                    for (int64_t j = 0; j < RN; ++j) {
                        Cv[j][i] = madd(Av, Bv[j], Cv[j][i]);
                    }
                }
            }
        }
#if defined(__AVX512F__)
        if constexpr (RM == 4 && std::is_same_v<D, __m512> && std::is_same_v<TC, float>) {
#pragma GCC unroll 6
            for (int64_t j = 0; j < RN; ++j)
                _mm_storeu_ps(C + ldc * (jj + j) + ii, hsum_of_four(Cv[j][0], Cv[j][1], Cv[j][2], Cv[j][3]));
            return;
        }
#endif
#pragma GCC unroll 6
        for (int64_t j = 0; j < RN; ++j)
#pragma GCC unroll 6
            for (int64_t i = 0; i < RM; ++i)
                C[ldc * (jj + j) + (ii + i)] = hsum(Cv[j][i]);
    }
]=])

# Attention reads the cells of the cache up to the last one in use, rounded up: by 256, so that the graph of a step stays
# the same for long. Without flash attention the empty cells are computed like all others: by 64 that is 96 fewer on
# average. On x86 kernels take at most 64 at a time, so that empty cells more or less leave the order of the sums as it
# is; on ARM's SVE they may take 256.
hearth_replace(src/llama-kv-cache.cpp
[=[
    const uint32_t n_pad_cur = std::max(n_pad, 256u);
]=] [=[
#if defined(__x86_64__)
    const uint32_t n_pad_cur = std::max(n_pad, v_trans ? 64u : 256u);
#else
    const uint32_t n_pad_cur = std::max(n_pad, 256u);
#endif
]=])

# Weights and caches in pages of 2 MB where the system has them for who asks: a value cache without flash attention is
# read and written across thousands of small pages for each token.
hearth_replace(ggml/src/ggml.c
[=[
#include "ggml-backend.h"
#include "ggml-impl.h"
]=] [=[
#if defined(__linux__)
#include <sys/mman.h>
#endif
#include "ggml-backend.h"
#include "ggml-impl.h"
]=])
hearth_replace(ggml/src/ggml.c
[=[
    int result = posix_memalign(&aligned_memory, alignment, size);
  #endif
    if (result != 0) {
]=] [=[
    const size_t large_page = (size_t) 2 << 20;
    int result = posix_memalign(&aligned_memory, size < 16*large_page ? (size_t) alignment : large_page, size);
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (result == 0 && size >= 16*large_page) {
        (void) madvise(aligned_memory, size, MADV_HUGEPAGE); // only a wish
    }
#endif
  #endif
    if (result != 0) {
]=])

# The value cache without flash attention is written number by number: without a call for each.
hearth_replace(ggml/src/ggml-cpu/ops.cpp
[=[
                if constexpr (std::is_same_v<src_t, float>) {
                    from_float(
]=] [=[
                if constexpr (std::is_same_v<src_t, float>) {
                    if (nc == 1 && dst->type == GGML_TYPE_F16) {
                        *(ggml_fp16_t *) ((char *) dst->data + i1*nb1 + i02*nb2 + i03*nb3) =
                            GGML_CPU_FP32_TO_FP16(*(const float *) ((char *) src0->data + i*nb01 + i02*nb02 + i03*nb03));
                        continue;
                    }
                    from_float(
]=])

# The largest number of a row, of which each softmax begins: 16 at a time.
hearth_replace(ggml/src/ggml-cpu/vec.h
[=[
#ifndef GGML_USE_ACCELERATE
    float max = -INFINITY;
    for (int i = 0; i < n; ++i) {
        max = MAX(max, x[i]);
    }
    *s = max;
]=] [=[
#ifndef GGML_USE_ACCELERATE
    float max = -INFINITY;
    int i = 0;
#if defined(__AVX512F__)
    __m512 lanes = _mm512_set1_ps(-INFINITY);
    for (; i + 15 < n; i += 16) {
        lanes = _mm512_max_ps(lanes, _mm512_loadu_ps(x + i));
    }
    max = _mm512_reduce_max_ps(lanes);
#endif
    for (; i < n; ++i) {
        max = MAX(max, x[i]);
    }
    *s = max;
]=])

# The product of Q4_1 weights, the demo model's, with several tokens: each block of weights unpacked once for four of them
# (llama-tile.c). One token is computed as before.
file(READ "${CMAKE_CURRENT_LIST_DIR}/llama-tile.c" hearth_tile)
hearth_replace(ggml/src/ggml-cpu/arch/x86/quants.c
[=[
void ggml_vec_dot_mxfp4_q8_0(]=] "
${hearth_tile}void ggml_vec_dot_mxfp4_q8_0(")
hearth_replace(ggml/src/ggml-cpu/ggml-cpu.c
[=[
static void ggml_compute_forward_mul_mat_one_chunk(]=] [=[
#if defined(__AVX2__) && defined(__F16C__) && defined(__FMA__)
void ggml_tile_q4_1_q8_1(int n, float * s, size_t bs, const void * vx, size_t bx, const void * vy, size_t by, int rows, int columns);
#endif

static void ggml_compute_forward_mul_mat_one_chunk(]=])
hearth_replace(ggml/src/ggml-cpu/ggml-cpu.c
[=[
        for (int64_t iir0 = ir0_start; iir0 < ir0_end; iir0 += blck_0) {
            for (int64_t ir1 = iir1; ir1 < iir1 + blck_1 && ir1 < ir1_end; ir1 += num_rows_per_vec_dot) {
                const int64_t i13 = (ir1 / (ne12 * ne1));
]=] [=[
        for (int64_t iir0 = ir0_start; iir0 < ir0_end; iir0 += blck_0) {
#if defined(__AVX2__) && defined(__F16C__) && defined(__FMA__)
            if (type == GGML_TYPE_Q4_1 && ne1 > 1 && ne12 == 1 && ne13 == 1) {
                ggml_tile_q4_1_q8_1(ne00, (float *) ((char *) dst->data + iir1*nb1) + iir0, nb1/sizeof(float),
                    (const char *) src0->data + iir0*nb01, nb01, (const char *) wdata + iir1*src1_col_stride, src1_col_stride,
                    MIN(blck_0, ir0_end - iir0), MIN(blck_1, ir1_end - iir1));
                continue;
            }
#endif
            for (int64_t ir1 = iir1; ir1 < iir1 + blck_1 && ir1 < ir1_end; ir1 += num_rows_per_vec_dot) {
                const int64_t i13 = (ir1 / (ne12 * ne1));
]=])
