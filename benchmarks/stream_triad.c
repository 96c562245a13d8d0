/* The triad of STREAM (J. D. McCalpin, https://www.cs.virginia.edu/stream/): a[i] = b[i] + q * c[i], over arrays far
 * larger than the caches. Prints one line of JSON with the rate of every pass, in bytes per second.
 *
 *     cc -O3 -march=native -fopenmp stream_triad.c -o stream_triad
 *     ./stream_triad BYTES_PER_ARRAY PASSES HUGE_PAGES(0 or 1)
 *
 * As STREAM counts them, a pass moves three arrays: two are read, one is written. Where the compiler uses ordinary
 * stores, most processors also read the lines that they are about to write; that fourth array is not counted.
 */
#define _DEFAULT_SOURCE
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

#define HUGE_PAGE ((size_t)2 << 20)

static double *allocate(size_t bytes, int huge) {
    double *array = aligned_alloc(HUGE_PAGE, (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE);
#ifdef __linux__
    /* Linux gives an ordinary program 4 KiB pages unless it asks. NumPy asks for its arrays. */
    if (array) madvise(array, bytes, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
#endif
    return array;
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: %s BYTES_PER_ARRAY PASSES HUGE_PAGES\n", argv[0]);
        return 2;
    }
    size_t n = strtoull(argv[1], NULL, 10) / sizeof(double);
    int passes = atoi(argv[2]), huge = atoi(argv[3]);
    if (n < 1024 || passes < 1) {
        fprintf(stderr, "need at least 8 KiB per array and one pass\n");
        return 2;
    }
    size_t bytes = n * sizeof(double);
    double *a = allocate(bytes, huge), *b = allocate(bytes, huge), *c = allocate(bytes, huge);
    double *rates = malloc(passes * sizeof *rates);
    if (!a || !b || !c || !rates) {
        fprintf(stderr, "no memory for three arrays of %zu bytes\n", n * sizeof(double));
        return 1;
    }
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < n; i++) { /* written first by the thread that will use it */
        a[i] = 0.0;
        b[i] = 1.0;
        c[i] = 2.0;
    }
    for (int pass = -1; pass < passes; pass++) { /* the first pass is not counted */
        double start = omp_get_wtime();
#pragma omp parallel for schedule(static)
        for (size_t i = 0; i < n; i++) a[i] = b[i] + 3.0 * c[i];
        if (pass >= 0) rates[pass] = 3.0 * n * sizeof(double) / (omp_get_wtime() - start);
    }
    /* A result is printed so that no compiler may leave the loop out; it is 7 everywhere. */
    printf("{\"n_threads\": %d, \"check\": %.1f, \"triad\": [", omp_get_max_threads(), a[n / 2]);
    for (int pass = 0; pass < passes; pass++) printf("%s%.0f", pass ? ", " : "", rates[pass]);
    printf("]}\n");
    return 0;
}
