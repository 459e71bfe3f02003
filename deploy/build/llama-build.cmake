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
    set(path "${CMAKE_CURRENT_SOURCE_DIR}/vendor/llama.cpp/ggml/src/ggml-cpu/${file}")
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
hearth_replace(llamafile/sgemm.cpp
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
hearth_replace(ggml-cpu.c
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
hearth_replace(ggml-cpu.c
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

# Heads are short, so that adding up the lanes of each sum costs more than the products: four sums at once.
hearth_replace(llamafile/sgemm.cpp
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
hearth_replace(llamafile/sgemm.cpp
[=[
        for (int64_t j = 0; j < RN; ++j)
            for (int64_t i = 0; i < RM; ++i)
                C[ldc * (jj + j) + (ii + i)] = hsum(Cv[j][i]);
    }

    template <int RM, int RN, int BM>
    NOINLINE void gemm(int64_t m, int64_t n, int64_t BN) {
]=] [=[
#if defined(__AVX512F__)
        if constexpr (RM == 4 && std::is_same_v<D, __m512> && std::is_same_v<TC, float>) {
            for (int64_t j = 0; j < RN; ++j)
                _mm_storeu_ps(C + ldc * (jj + j) + ii, hsum_of_four(Cv[j][0], Cv[j][1], Cv[j][2], Cv[j][3]));
            return;
        }
#endif
        for (int64_t j = 0; j < RN; ++j)
            for (int64_t i = 0; i < RM; ++i)
                C[ldc * (jj + j) + (ii + i)] = hsum(Cv[j][i]);
    }

    template <int RM, int RN, int BM>
    NOINLINE void gemm(int64_t m, int64_t n, int64_t BN) {
]=])
