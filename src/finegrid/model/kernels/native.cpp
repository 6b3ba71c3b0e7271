// What lies between a layer's matrix products, on CPUs: one pass over memory each, masks drawn in passing.
//
// Compiled on the machine where it runs (compiling.py), called by native.py, and equal to plain.py but for
// rounding. All arithmetic is float32. The order of every sum is written down here, vector by vector and
// block of rows by block of rows: results do not depend on threads, alignment or company.

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#ifdef __AVX512F__
#include <immintrin.h>
#endif

#ifdef __AVX512F__
#define BYTES 64  // of a vector register
#elif defined(__AVX__)
#define BYTES 32
#else
#define BYTES 16
#endif
#define VECTOR(bytes) __attribute__((vector_size(bytes)))

typedef float floats VECTOR(BYTES);
typedef int32_t ints VECTOR(BYTES);
typedef uint32_t words VECTOR(BYTES);
typedef uint64_t keys VECTOR(BYTES);
typedef uint16_t halves VECTOR(BYTES / 2);
typedef int16_t shorts VECTOR(BYTES / 2);

constexpr int64_t LANES = BYTES / 4;
constexpr int64_t ROWS = 32;  // of a block: what is summed by itself before it is added to a total
// What a product sums at once, in vectors: as many as there are registers for, and some to spare.
#ifdef __AVX512F__
constexpr int COLUMNS = 4, TALL = 8;  // 4 x 4, or 8 x 2, or 8 x 1 of 32
#else
constexpr int COLUMNS = 2, TALL = 4;  // 4 x 2 of 16
#endif

struct bf16 {
    uint16_t bits;
};

// ---- vectors ----

static inline floats all(float value) { return value - floats{}; }

static inline floats load(const float *from) {
    floats out;
    memcpy(&out, from, sizeof out);
    return out;
}

#ifdef __AVX512F__
static inline floats load(const bf16 *from) {
    __m256i low;
    memcpy(&low, from, sizeof low);
    return (floats)_mm512_slli_epi32(_mm512_cvtepu16_epi32(low), 16);
}
#else
static inline floats load(const bf16 *from) {
    halves low;
    memcpy(&low, from, sizeof low);
    return (floats)(__builtin_convertvector(low, words) << 16);
}
#endif

// The same slot in all lanes, whatever is in it.
static inline floats slot(const float *from) {
    int32_t bits;
    memcpy(&bits, from, sizeof bits);
    return (floats)(bits - ints{});
}

static inline void store(float *to, floats value) { memcpy(to, &value, sizeof value); }

// To nearest, ties to even, as torch rounds.
#ifdef __AVX512BF16__
static inline void store(bf16 *to, floats value) {
    __m256bh low = _mm512_cvtneps_pbh((__m512)value);
    memcpy(to, &low, sizeof low);
}
#else
static inline void store(bf16 *to, floats value) {
    words bits = (words)value;
    words rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    rounded = value == value ? rounded : words{} + 0x7fc0;
    halves low = __builtin_convertvector(rounded, halves);
    memcpy(to, &low, sizeof low);
}
#endif

// The first `count` values; zeros behind them.
template <typename T>
static inline floats load(const T *from, int64_t count) {
    if (count >= LANES) return load(from);
    T some[LANES] = {};
    memcpy(some, from, count * sizeof(T));
    return load(some);
}

template <typename T>
static inline void store(T *to, floats value, int64_t count) {
    if (count >= LANES) return store(to, value);
    T some[LANES];
    store(some, value);
    memcpy(to, some, count * sizeof(T));
}

static inline ints lanes() {
    ints out;
    for (int i = 0; i < LANES; i++) out[i] = i;
    return out;
}

// The first `count` values, and another for the rest.
static inline floats within(floats x, int64_t count, float otherwise = 0) {
    return count >= LANES ? x : lanes() < (int32_t)count ? x : all(otherwise);
}

// All values of a vector, by halves: always in this order.
template <typename Join>
static inline float reduce(floats x, Join join) {
#if BYTES == 64
    x = join(x, __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
    x = join(x, __builtin_shufflevector(x, x, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3));
    x = join(x, __builtin_shufflevector(x, x, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1));
    x = join(x, __builtin_shufflevector(x, x, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0));
#else
    for (int64_t half = LANES / 2; half; half /= 2) {
        floats other = x;
        for (int i = 0; i < half; i++) other[i] = x[i + half];
        x = join(x, other);
    }
#endif
    return x[0];
}

static inline float sum(floats x) {
    return reduce(x, [](floats a, floats b) { return a + b; });
}

static inline float largest(floats x) {
    return reduce(x, [](floats a, floats b) { return b > a ? b : a; });
}

// e^x for x up to 88, to two units in the last place (Cody and Waite's reduction; Cephes' polynomial). What
// is less than -87 counts as that; NaN stays NaN.
static inline floats exponential(floats x) {
    x = x < -87.f ? all(-87.f) : x;
    const floats shifted = x * 1.44269504f + 12582912.f;  // the whole number is in its lowest bits
    const floats whole = shifted - 12582912.f;
    const floats rest = x - whole * 0.693359375f - whole * -2.12194440e-4f;
    floats sum = 1.9875691500e-4f * rest + 1.3981999507e-3f;
    sum = sum * rest + 8.3334519073e-3f;
    sum = sum * rest + 4.1665795894e-2f;
    sum = sum * rest + 1.6666665459e-1f;
    sum = sum * rest + 5.0000001201e-1f;
    sum = sum * rest + 1.f;
    sum = sum * rest + 1.f;
    return sum * (floats)(((words)shifted << 23) + 0x3f800000u);
}

// The distribution function of the normal distribution, and its density times sqrt(2 pi).
// Abramowitz and Stegun, 7.1.26: to 1.5e-7.
static inline void normal(floats x, floats &below, floats &density) {
    const floats size = (floats)((words)x & 0x7fffffffu);
    density = exponential(x * x * -0.5f);
    const floats t = 1.f / (1.f + size * (0.3275911f * 0.70710678f));
    floats sum = 0.5f * 1.061405429f * t - 0.5f * 1.453152027f;
    sum = sum * t + 0.5f * 1.421413741f;
    sum = sum * t - 0.5f * 0.284496736f;
    sum = sum * t + 0.5f * 0.254829592f;
    const floats above = sum * t * density;  // of |x|
    below = x < 0.f ? above : 1.f - above;
}

// ---- dropout: values of a stream, see counter.py ----

struct Dropout {
    int64_t key;
    int64_t first;   // value of the stream
    int64_t lowest;  // of 16 bits, signed: what is less is dropped
    float scale;     // of survivors; 0: nothing is dropped
};

// So many 16-bit values from `first` on. `out` has room for 36 more. Returns where they begin.
static const int16_t *draw(const Dropout &dropout, int64_t first, int64_t count, int16_t *out) {
    uint64_t word = first / 4;
    int64_t skipped = first % 4;
    keys counter;
    for (int i = 0; i < LANES / 2; i++) counter[i] = i + 1;
    counter = (counter + word) * 0x9E3779B97F4A7C15u + (uint64_t)dropout.key;
    for (int64_t i = 0; i < skipped + count; i += 2 * LANES) {
        keys z = counter;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
        z = z ^ (z >> 31);
        memcpy(out + i, &z, sizeof z);
        counter += LANES / 2 * 0x9E3779B97F4A7C15u;
    }
    return out + skipped;
}

// What the values of a vector are multiplied by: `scale` or 0.
static inline floats kept(const Dropout &dropout, const int16_t *drawn) {
    shorts own;
    memcpy(&own, drawn, sizeof own);
    ints wide = __builtin_convertvector(own, ints);
    return wide >= (int32_t)dropout.lowest ? all(dropout.scale) : floats{};
}

// ---- memory ----

struct Scratch {
    float *start = nullptr;
    int64_t room = 0;
    ~Scratch() { free(start); }
    float *of(int64_t count) {
        if (count > room) {
            free(start);
            start = (float *)aligned_alloc(64, (count * 4 + 63) / 64 * 64);
            if (!start) abort();
            room = count;
        }
        return start;
    }
};

static thread_local Scratch scratch;

// A piece of what was borrowed, in whole vectors.
static float *cut(float *&from, int64_t count) {
    float *piece = from;
    from += (count + LANES - 1) / LANES * LANES;
    return piece;
}

static int64_t padded(int64_t count) { return (count + LANES - 1) / LANES * LANES; }

// ---- sums over tokens ----

// Adds up what blocks of rows have left, block after block. [blocks, width] to [width].
static void add_up(const float *parts, int64_t blocks, int64_t width, float *out) {
    memset(out, 0, width * sizeof(float));
    for (int64_t block = 0; block < blocks; block++)
        for (int64_t i = 0; i < width; i++) out[i] += parts[block * width + i];
}

static void add_to(float *total, int64_t at, floats value, int64_t count) {
    store(total + at, load(total + at, count) + value, count);
}

static int64_t blocks_of(int64_t rows) { return (rows + ROWS - 1) / ROWS; }

#define BY_BLOCK(rows) \
    for (int64_t first = block * ROWS, row = first; row < (rows) && row < first + ROWS; row++)

// ---- LayerNorm over a residual ----

template <typename T>
static void join_rows(const float *x, const T *y, const float *weight, const float *bias, float *total,
                      float *out, T *low, float *mean, float *rstd, int64_t rows, int64_t width, float eps,
                      Dropout dropout, int threads) {
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int64_t block = 0; block < blocks_of(rows); block++) {
        int16_t *bits = (int16_t *)scratch.of(width / 2 + 64);
        BY_BLOCK(rows) {
            const int64_t at = row * width;
            const int16_t *drawn = dropout.scale ? draw(dropout, dropout.first + at, width, bits) : bits;
            floats part = {};
            for (int64_t i = 0; i < width; i += LANES) {
                floats value = load(y + at + i, width - i);
                if (dropout.scale) value *= kept(dropout, drawn + i);
                value += load(x + at + i, width - i);
                store(total + at + i, value, width - i);
                part += value;
            }
            const float middle = sum(part) / width;
            part = floats{};
            for (int64_t i = 0; i < width; i += LANES) {
                floats off = within(load(total + at + i, width - i) - middle, width - i);
                part += off * off;
            }
            const float scale = 1.f / sqrtf(sum(part) / width + eps);
            mean[row] = middle;
            rstd[row] = scale;
            for (int64_t i = 0; i < width; i += LANES) {
                const int64_t rest = width - i;
                floats value = (load(total + at + i, rest) - middle) * scale;
                value = value * load(weight + i, rest) + load(bias + i, rest);
                store(out + at + i, value, rest);
                if (low) store(low + at + i, value, rest);
            }
        }
    }
}

template <typename T>
static void join_back_rows(const float *grad, const float *total, const float *mean, const float *rstd,
                           const float *weight, float *grad_x, T *grad_y, float *parts, int64_t rows,
                           int64_t width, Dropout dropout, int threads) {
    const int64_t blocks = blocks_of(rows);
    float *of_weight = parts, *of_shift = parts + blocks * width, *of_bias = parts + 2 * blocks * width;
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int64_t block = 0; block < blocks; block++) {
        int16_t *bits = (int16_t *)scratch.of(width / 2 + 64);
        float *weights = of_weight + block * width, *shifts = of_shift + block * width;
        float *biases = of_bias + block * width;
        for (float *sums = parts; sums < parts + 3 * blocks * width; sums += blocks * width)
            memset(sums + block * width, 0, width * sizeof(float));
        BY_BLOCK(rows) {
            const int64_t at = row * width;
            const int16_t *drawn = dropout.scale ? draw(dropout, dropout.first + at, width, bits) : bits;
            floats first_part = {}, second_part = {};
            for (int64_t i = 0; i < width; i += LANES) {
                const int64_t rest = width - i;
                floats own = load(grad + at + i, rest);
                floats normal = (load(total + at + i, rest) - mean[row]) * rstd[row];
                floats weighted = own * load(weight + i, rest);
                first_part += weighted;
                second_part += weighted * normal;  // behind the end, `own` is 0
                add_to(weights, i, own * normal, rest);
                add_to(shifts, i, own, rest);
            }
            const float first_mean = sum(first_part) / width, second_mean = sum(second_part) / width;
            for (int64_t i = 0; i < width; i += LANES) {
                const int64_t rest = width - i;
                floats normal = (load(total + at + i, rest) - mean[row]) * rstd[row];
                floats weighted = load(grad + at + i, rest) * load(weight + i, rest);
                floats value = (weighted - first_mean - normal * second_mean) * rstd[row];
                store(grad_x + at + i, value, rest);
                if (dropout.scale) value *= kept(dropout, drawn + i);
                store(grad_y + at + i, value, rest);
                add_to(biases, i, value, rest);
            }
        }
    }
}

// ---- GELU ----

template <typename T>
static void gelu_back_rows(const T *wide, const T *grad, T *out, float *parts, int64_t rows, int64_t width,
                           int threads) {
    const int64_t blocks = blocks_of(rows);
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int64_t block = 0; block < blocks; block++) {
        float *sums = parts + block * width;
        memset(sums, 0, width * sizeof(float));
        BY_BLOCK(rows) {
            const int64_t at = row * width;
            for (int64_t i = 0; i < width; i += LANES) {
                const int64_t rest = width - i;
                floats x = load(wide + at + i, rest), below, density;
                normal(x, below, density);
                floats value = load(grad + at + i, rest) * (below + x * density * 0.39894228f);
                store(out + at + i, value, rest);
                add_to(sums, i, value, rest);
            }
        }
    }
}

template <typename T>
static void sum_rows(const T *x, float *parts, int64_t rows, int64_t width, int threads) {
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int64_t block = 0; block < blocks_of(rows); block++) {
        float *sums = parts + block * width;
        memset(sums, 0, width * sizeof(float));
        BY_BLOCK(rows)
        for (int64_t i = 0; i < width; i += LANES)
            add_to(sums, i, load(x + row * width + i, width - i), width - i);
    }
}

// ---- attention within texts ----

// How a product's factors lie in memory: in slots of 32 bits, each with one number, or two that are summed at
// once. Both kinds of slot come by row, [rows, slots of the width], or for a product that sums over rows,
// [slots of the rows, width].
struct Exact {
    static constexpr int64_t per = 1;

    static floats add(floats sums, floats left, floats right) { return sums + left * right; }

    template <typename T>
    static void take(const T *from, int64_t row, int64_t length, int64_t width, float *to) {
        const int64_t room = padded(width);
        for (int64_t t = 0; t < length; t++)
            for (int64_t i = 0; i < width; i += LANES)
                store(to + t * room + i, load(from + t * row + i, width - i));
    }
    template <typename T>
    static const float *take_down(const T *from, int64_t row, int64_t length, int64_t width,
                                  const float *taken, float *to) {
        if (taken) return taken;  // by row is the same
        take(from, row, length, width, to);
        return to;
    }
    static const float *pack(const float *weights, int64_t, int64_t, float *) { return weights; }
    static const float *pack_down(const float *weights, int64_t, int64_t, float *) { return weights; }
};

#ifdef __AVX512BF16__
struct Paired {
    static constexpr int64_t per = 2;

    static floats add(floats sums, floats left, floats right) {
        return (floats)_mm512_dpbf16_ps((__m512)sums, (__m512bh)left, (__m512bh)right);
    }

    static void take(const bf16 *from, int64_t row, int64_t length, int64_t width, float *to) {
        const int64_t room = padded((width + 1) / 2);
        for (int64_t t = 0; t < length; t++)
            for (int64_t i = 0; i < width; i += 2 * LANES) {
                const bf16 *own = from + t * row + i;
                bf16 some[2 * LANES] = {};
                if (width - i < 2 * LANES) own = (bf16 *)memcpy(some, own, (width - i) * sizeof(bf16));
                memcpy(to + t * room + i / 2, own, sizeof some);
            }
    }
    static const float *take_down(const bf16 *from, int64_t row, int64_t length, int64_t width, const float *,
                                  float *to) {
        const int64_t room = padded(width);
        for (int64_t t = 0; t < length; t += 2)
            for (int64_t i = 0; i < width; i += LANES) {
                const bf16 *upper = from + t * row + i;
                const words second = t + 1 < length ? (words)load(upper + row, width - i) : words{};
                const words both = (words)load(upper, width - i) >> 16 | second;
                memcpy(to + t / 2 * room + i, &both, sizeof both);
            }
        return to;
    }
    // [rows, across] of float32.
    static const float *pack(const float *weights, int64_t rows, int64_t across, float *to) {
        for (int64_t i = 0; i < rows * across; i += LANES) store((bf16 *)to + i, load(weights + i));
        return to;
    }
    static const float *pack_down(const float *weights, int64_t rows, int64_t across, float *to) {
        for (int64_t row = 0; row < rows; row += 2)
            for (int64_t i = 0; i < across; i += LANES) {
                const float *upper = weights + row * across + i;
                const floats second = row + 1 < rows ? load(upper + across) : floats{};
                halves both[2];
                store((bf16 *)both, load(upper));
                store((bf16 *)(both + 1), second);
                const words joined =
                    __builtin_convertvector(both[0], words) | __builtin_convertvector(both[1], words) << 16;
                memcpy(to + row / 2 * across + i, &joined, sizeof joined);
            }
        return to;
    }
};
template <typename T>
struct Kind {
    typedef Exact Slots;
};
template <>
struct Kind<bf16> {
    typedef Paired Slots;
};
#else
template <typename T>
struct Kind {
    typedef Exact Slots;
};
#endif

// rows x columns vectors of a @ b (+ c). A slot of `a` lies at row * down + k * across.
template <typename Slots, int rows, int columns>
static void block_product(const float *a, int64_t down, int64_t across, const float *b, int64_t b_row,
                          float *c, int64_t c_row, int64_t inner, bool add) {
    floats sums[rows][columns];
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < columns; v++) sums[r][v] = add ? load(c + r * c_row + v * LANES) : floats{};
    for (int64_t k = 0; k < inner; k++) {
        floats right[columns];
        for (int v = 0; v < columns; v++) right[v] = load(b + k * b_row + v * LANES);
        for (int r = 0; r < rows; r++) {
            const floats left = slot(a + r * down + k * across);
            for (int v = 0; v < columns; v++) sums[r][v] = Slots::add(sums[r][v], left, right[v]);
        }
    }
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < columns; v++) store(c + r * c_row + v * LANES, sums[r][v]);
}

template <typename Slots, int columns>
static void product_columns(const float *a, int64_t down, int64_t across, const float *b, int64_t b_row,
                            float *c, int64_t c_row, int64_t rows, int64_t inner, bool add) {
#define SOME_ROWS(count)                                                                                    \
    for (; r + count <= rows; r += count)                                                                   \
    block_product<Slots, count, columns>(a + r * down, down, across, b, b_row, c + r * c_row, c_row, inner, \
                                         add)
    int64_t r = 0;
    if constexpr (columns <= 2) SOME_ROWS(TALL);
    SOME_ROWS(4);
    SOME_ROWS(2);
    SOME_ROWS(1);
}

// c = a @ b, or c += it. `inner` in slots; `width` of b and c are whole vectors.
template <typename Slots>
static void product(const float *a, int64_t down, int64_t across, const float *b, int64_t b_row, float *c,
                    int64_t c_row, int64_t rows, int64_t inner, int64_t width, bool add) {
    int64_t i = 0;
    for (; i + COLUMNS * LANES <= width; i += COLUMNS * LANES)
        product_columns<Slots, COLUMNS>(a, down, across, b + i, b_row, c + i, c_row, rows, inner, add);
    for (; COLUMNS > 2 && i + 2 * LANES <= width; i += 2 * LANES)
        product_columns<Slots, 2>(a, down, across, b + i, b_row, c + i, c_row, rows, inner, add);
    for (; i < width; i += LANES)
        product_columns<Slots, 1>(a, down, across, b + i, b_row, c + i, c_row, rows, inner, add);
}

// One head's part of some tokens, times a number.
template <typename T>
static void give(const float *from, int64_t row, int64_t length, int64_t width, float times, T *to) {
    const int64_t room = padded(width);
    for (int64_t t = 0; t < length; t++)
        for (int64_t i = 0; i < width; i += LANES)
            store(to + t * row + i, load(from + t * room + i) * times, width - i);
}

#if BYTES == 64
// Rows that lie so many apart exchange what lies so many apart in them.
#define EXCHANGE(apart, first, second)                               \
    for (int i = 0; i < 16; i++)                                     \
        if (!(i & apart)) {                                          \
            const floats a = rows[i], b = rows[i + apart];           \
            rows[i] = __builtin_shufflevector(a, b, first);          \
            rows[i + apart] = __builtin_shufflevector(a, b, second); \
        }
#define LIST(...) __VA_ARGS__

// Sixteen rows become sixteen columns.
static inline __attribute__((always_inline)) void turn_square(floats rows[16]) {
#pragma GCC unroll 16
    EXCHANGE(8, LIST(0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23),
             LIST(8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31))
#pragma GCC unroll 16
    EXCHANGE(4, LIST(0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27),
             LIST(4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31))
#pragma GCC unroll 16
    EXCHANGE(2, LIST(0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29),
             LIST(2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31))
#pragma GCC unroll 16
    EXCHANGE(1, LIST(0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30),
             LIST(1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31))
}
#endif

// [length, padded width] to [padded width, padded length], filled up with zeros.
static void turn(const float *from, int64_t length, int64_t width, float *to) {
    const int64_t room = padded(width), across = padded(length);
    for (int64_t t = 0; t < across; t += LANES)
        for (int64_t i = 0; i < room; i += LANES) {
            floats rows[LANES];
            for (int64_t row = 0; row < LANES; row++)
                rows[row] = t + row < length ? load(from + (t + row) * room + i) : floats{};
#if BYTES == 64
            turn_square(rows);
            for (int64_t row = 0; row < LANES; row++) store(to + (i + row) * across + t, rows[row]);
#else
            const float *square = (const float *)rows;
            for (int64_t row = 0; row < LANES; row++)
                for (int64_t lane = 0; lane < LANES; lane++)
                    to[(i + row) * across + t + lane] = square[lane * LANES + row];
#endif
        }
}

struct Texts {
    const int64_t *starts, *lengths;  // in tokens of one run
    const int64_t *begins, *sides;    // where a text's values begin in the stream, and its padded length
    int64_t texts, runs, tokens, heads, width;  // tokens of one run; width of a head
    float alpha;
    int threads;
};

// One text and head of a run.
struct Place {
    int64_t token, length, begin, side, head;
    Place(const Texts &texts, int64_t index) {
        head = index % texts.heads;
        const int64_t text = index / texts.heads % texts.texts;
        token = texts.starts[text] + index / texts.heads / texts.texts * texts.tokens;
        length = texts.lengths[text];
        side = texts.sides[text];
        begin = texts.begins[text] + head * side * side;
    }
};

// Some rows of scores to attention weights, in place; `alpha` is above 0. A processor works on several at
// once.
template <int count>
static inline void softmax_some(float *scores, int64_t length, float alpha) {
    const int64_t across = padded(length);
    floats top[count], sums[count];
    float most[count], each[count];
    for (int r = 0; r < count; r++) top[r] = all(-INFINITY), sums[r] = floats{};
    for (int64_t i = 0; i < length; i += LANES)
        for (int r = 0; r < count; r++) {
            floats value = load(scores + r * across + i);
            value = within(value, length - i, -INFINITY);
            top[r] = value > top[r] ? value : top[r];
        }
    for (int r = 0; r < count; r++) most[r] = largest(top[r]);
    for (int64_t i = 0; i < length; i += LANES)
        for (int r = 0; r < count; r++) {
            const floats value =
                within(exponential((load(scores + r * across + i) - most[r]) * alpha), length - i);
            store(scores + r * across + i, value);
            sums[r] += value;
        }
    for (int r = 0; r < count; r++) each[r] = 1.f / sum(sums[r]);
    for (int64_t i = 0; i < length; i += LANES)
        for (int r = 0; r < count; r++)
            store(scores + r * across + i, load(scores + r * across + i) * each[r]);
}

static void softmax_rows(float *scores, int64_t rows, int64_t length, float alpha) {
    const int64_t across = padded(length);
    int64_t row = 0;
    for (; row + 4 <= rows; row += 4) softmax_some<4>(scores + row * across, length, alpha);
    for (; row < rows; row++) softmax_some<1>(scores + row * across, length, alpha);
}

template <typename T>
static void attend_texts(const T *qkv, T *context, Texts texts, Dropout dropout) {
    typedef typename Kind<T>::Slots Slots;
    const int64_t width = texts.width, all_width = texts.heads * width, three = 3 * all_width;
    const int64_t room = padded(width), slots = (width + Slots::per - 1) / Slots::per, taken = padded(slots);
#pragma omp parallel for schedule(dynamic) num_threads(texts.threads) if (texts.threads > 1)
    for (int64_t index = 0; index < texts.runs * texts.texts * texts.heads; index++) {
        const Place place(texts, index);
        const int64_t length = place.length, across = padded(length);
        float *memory = scratch.of((room + 2 * taken) * (across + LANES) + ROWS * (2 * across + 2 * room) +
                                   2 * across + 1024);
        float *k = cut(memory, length * taken), *turned = cut(memory, taken * across);
        float *v = cut(memory, length * room);
        float *scores = cut(memory, ROWS * across), *packed = cut(memory, ROWS * across);
        float *q = cut(memory, ROWS * taken), *out = cut(memory, ROWS * room);
        int16_t *bits = (int16_t *)memory;
        const T *own = qkv + place.token * three + place.head * width;
        Slots::take(own + all_width, three, length, width, k);
        turn(k, length, slots, turned);
        const float *values = Slots::take_down(own + 2 * all_width, three, length, width, nullptr, v);
        for (int64_t first = 0; first < length; first += ROWS) {
            const int64_t rows = length - first < ROWS ? length - first : ROWS;
            Slots::take(own + first * three, three, rows, width, q);
            product<Slots>(q, taken, 1, turned, across, scores, across, rows, slots, across, false);
            softmax_rows(scores, rows, length, texts.alpha);
            if (dropout.scale)
                for (int64_t row = 0; row < rows; row++) {
                    const int64_t from = place.begin + (first + row) * place.side;
                    const int16_t *drawn = draw(dropout, from, length, bits);
                    float *weights = scores + row * across;
                    for (int64_t i = 0; i < across; i += LANES)
                        store(weights + i, load(weights + i) * kept(dropout, drawn + i));
                }
            const float *weights = Slots::pack(scores, rows, across, packed);
            const int64_t inner = (length + Slots::per - 1) / Slots::per;
            product<Slots>(weights, across / Slots::per, 1, values, room, out, room, rows, inner, room,
                           false);
            give(out, all_width, rows, width, 1.f,
                 context + (place.token + first) * all_width + place.head * width);
        }
    }
}

template <typename T>
static void attend_back_texts(const T *qkv, const T *grad, T *out, Texts texts, Dropout dropout) {
    typedef typename Kind<T>::Slots Slots;
    const int64_t width = texts.width, all_width = texts.heads * width, three = 3 * all_width;
    const int64_t room = padded(width), slots = (width + Slots::per - 1) / Slots::per, taken = padded(slots);
#pragma omp parallel for schedule(dynamic) num_threads(texts.threads) if (texts.threads > 1)
    for (int64_t index = 0; index < texts.runs * texts.texts * texts.heads; index++) {
        const Place place(texts, index);
        const int64_t length = place.length, across = padded(length);
        float *memory = scratch.of((4 * room + 3 * taken) * (across + LANES) +
                                   ROWS * (4 * across + 5 * room) + 2 * across + 1024);
        float *k = cut(memory, length * room), *k_down = cut(memory, length * room);
        float *grad_k = cut(memory, length * room), *grad_v = cut(memory, length * room);
        float *turned_k = cut(memory, taken * across), *v = cut(memory, length * taken);
        float *turned_v = cut(memory, taken * across);
        float *weights = cut(memory, ROWS * across), *back = cut(memory, ROWS * across);
        float *dropped = cut(memory, ROWS * across), *packed = cut(memory, ROWS * across);
        float *q = cut(memory, ROWS * room), *g = cut(memory, ROWS * room), *down = cut(memory, ROWS * room);
        float *grad_q = cut(memory, ROWS * room);
        int16_t *bits = (int16_t *)memory;
        const T *own = qkv + place.token * three + place.head * width;
        const T *of_context = grad + place.token * all_width + place.head * width;
        T *to = out + place.token * three + place.head * width;
        Slots::take(own + all_width, three, length, width, k);
        turn(k, length, slots, turned_k);
        const float *keys = Slots::take_down(own + all_width, three, length, width, k, k_down);
        Slots::take(own + 2 * all_width, three, length, width, v);
        turn(v, length, slots, turned_v);
        for (int64_t first = 0; first < length; first += ROWS) {
            const int64_t rows = length - first < ROWS ? length - first : ROWS;
            Slots::take(own + first * three, three, rows, width, q);
            Slots::take(of_context + first * all_width, all_width, rows, width, g);
            product<Slots>(q, taken, 1, turned_k, across, weights, across, rows, slots, across, false);
            softmax_rows(weights, rows, length, texts.alpha);
            product<Slots>(g, taken, 1, turned_v, across, back, across, rows, slots, across, false);
            for (int64_t row = 0; row < rows; row++) {
                float *p = weights + row * across, *b = back + row * across, *d = dropped + row * across;
                const int16_t *drawn = bits;
                if (dropout.scale)
                    drawn = draw(dropout, place.begin + (first + row) * place.side, length, bits);
                floats part = {};
                for (int64_t i = 0; i < across; i += LANES) {
                    floats weight = load(p + i), value = load(b + i), left = weight;
                    if (dropout.scale) {
                        const floats keep = kept(dropout, drawn + i);
                        left *= keep;
                        value *= keep;
                    }
                    store(d + i, left);
                    store(b + i, value);
                    part += weight * value;
                }
                const float mean = sum(part);
                for (int64_t i = 0; i < across; i += LANES) store(b + i, load(p + i) * (load(b + i) - mean));
            }
            const int64_t of_keys = (length + Slots::per - 1) / Slots::per,
                          of_rows = (rows + Slots::per - 1) / Slots::per;
            const float *a = Slots::pack(back, rows, across, packed);
            product<Slots>(a, across / Slots::per, 1, keys, room, grad_q, room, rows, of_keys, room, false);
            give(grad_q, three, rows, width, texts.alpha, to + first * three);
            a = Slots::pack_down(back, rows, across, packed);
            const float *b = Slots::take_down(own + first * three, three, rows, width, q, down);
            product<Slots>(a, 1, across, b, room, grad_k, room, length, of_rows, room, first > 0);
            a = Slots::pack_down(dropped, rows, across, packed);
            b = Slots::take_down(of_context + first * all_width, all_width, rows, width, g, down);
            product<Slots>(a, 1, across, b, room, grad_v, room, length, of_rows, room, first > 0);
        }
        give(grad_k, three, length, width, texts.alpha, to + all_width);
        give(grad_v, three, length, width, 1.f, to + 2 * all_width);
    }
}

// ---- what Python calls: `low` says whether T is bf16, else float32 ----

extern "C" {

void finegrid_draw(uint8_t *keep, int64_t key, int64_t first, int64_t lowest, int64_t count) {
    int16_t bits[1024 + 64];
    Dropout dropout{key, first, lowest, 1.f};
    for (int64_t at = 0; at < count; at += 1024) {
        const int64_t some = count - at < 1024 ? count - at : 1024;
        const int16_t *drawn = draw(dropout, first + at, some, bits);
        for (int64_t i = 0; i < some; i++) keep[at + i] = drawn[i] >= lowest;
    }
}

void finegrid_join(int low, const float *x, const void *y, const float *weight, const float *bias,
                   float *total, float *out, void *out_low, float *mean, float *rstd, int64_t rows,
                   int64_t width, float eps, int64_t key, int64_t first, int64_t lowest, float scale,
                   int threads) {
    Dropout dropout{key, first, lowest, scale};
    if (low)
        join_rows(x, (const bf16 *)y, weight, bias, total, out, (bf16 *)out_low, mean, rstd, rows, width, eps,
                  dropout, threads);
    else
        join_rows(x, (const float *)y, weight, bias, total, out, (float *)nullptr, mean, rstd, rows, width,
                  eps, dropout, threads);
}

// `parts`: [3, blocks, width], sums by block; `sums`: [3, width], of the norm's weight and bias, and of y's
// bias.
void finegrid_join_back(int low, const float *grad, const float *total, const float *mean, const float *rstd,
                        const float *weight, float *grad_x, void *grad_y, float *parts, float *sums,
                        int64_t rows, int64_t width, int64_t key, int64_t first, int64_t lowest, float scale,
                        int threads) {
    Dropout dropout{key, first, lowest, scale};
    if (low)
        join_back_rows(grad, total, mean, rstd, weight, grad_x, (bf16 *)grad_y, parts, rows, width, dropout,
                       threads);
    else
        join_back_rows(grad, total, mean, rstd, weight, grad_x, (float *)grad_y, parts, rows, width, dropout,
                       threads);
    const int64_t blocks = blocks_of(rows);
    for (int i = 0; i < 3; i++) add_up(parts + i * blocks * width, blocks, width, sums + i * width);
}

void finegrid_gelu_back(int low, const void *wide, const void *grad, void *out, float *parts, float *sums,
                        int64_t rows, int64_t width, int threads) {
    if (low)
        gelu_back_rows((const bf16 *)wide, (const bf16 *)grad, (bf16 *)out, parts, rows, width, threads);
    else
        gelu_back_rows((const float *)wide, (const float *)grad, (float *)out, parts, rows, width, threads);
    add_up(parts, blocks_of(rows), width, sums);
}

void finegrid_sum(int low, const void *x, float *parts, float *sums, int64_t rows, int64_t width,
                  int threads) {
    if (low)
        sum_rows((const bf16 *)x, parts, rows, width, threads);
    else
        sum_rows((const float *)x, parts, rows, width, threads);
    add_up(parts, blocks_of(rows), width, sums);
}

void finegrid_attend(int low, const void *qkv, void *context, const int64_t *starts, const int64_t *lengths,
                     const int64_t *begins, const int64_t *sides, int64_t texts, int64_t runs, int64_t tokens,
                     int64_t heads, int64_t width, float alpha, int64_t key, int64_t first, int64_t lowest,
                     float scale, int threads) {
    Texts all{starts, lengths, begins, sides, texts, runs, tokens, heads, width, alpha, threads};
    Dropout dropout{key, first, lowest, scale};
    if (low)
        attend_texts((const bf16 *)qkv, (bf16 *)context, all, dropout);
    else
        attend_texts((const float *)qkv, (float *)context, all, dropout);
}

void finegrid_attend_back(int low, const void *qkv, const void *grad, void *out, const int64_t *starts,
                          const int64_t *lengths, const int64_t *begins, const int64_t *sides, int64_t texts,
                          int64_t runs, int64_t tokens, int64_t heads, int64_t width, float alpha,
                          int64_t key, int64_t first, int64_t lowest, float scale, int threads) {
    Texts all{starts, lengths, begins, sides, texts, runs, tokens, heads, width, alpha, threads};
    Dropout dropout{key, first, lowest, scale};
    if (low)
        attend_back_texts((const bf16 *)qkv, (const bf16 *)grad, (bf16 *)out, all, dropout);
    else
        attend_back_texts((const float *)qkv, (const float *)grad, (float *)out, all, dropout);
}
}
