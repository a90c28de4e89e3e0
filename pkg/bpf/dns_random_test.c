/* SPDX-License-Identifier: Apache-2.0 */
/* testkit/dns_random.h. SLUICE_ROUNDS=1000000 for a long run, SLUICE_SEED=N for another one. */
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "testkit/dns_random.h"

#define ROUNDS 6000

static uint64_t state_of_random;

static uint32_t rnd(uint32_t n)
{
	state_of_random = state_of_random * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(state_of_random >> 33) % n;
}

static void told(uint64_t round, const struct dns_message *m, const char *what)
{
	for (size_t i = 0; i < m->n; i++)
		print_error("%02x%s", m->b[i], i + 1 == m->n ? "\n" : "");
	fail_msg("round %llu: %s", (unsigned long long)round, what);
}

static void the_kernel_reads_answers_as_the_reference_does(void **state)
{
	const char *rounds = getenv("SLUICE_ROUNDS"), *seed = getenv("SLUICE_SEED");
	uint64_t n = rounds ? strtoull(rounds, NULL, 10) : ROUNDS, learned = 0, broken = 0;
	static struct dns_message m;

	state_of_random = seed ? strtoull(seed, NULL, 10) : 1;
	names_world();
	for (uint64_t i = 0; i < n; i++) {
		struct dns_judged judged;
		const char *wrong;

		dns_random_make(&m, rnd);
		wrong = dns_random_judge(&m, names_tell, &judged);
		if (wrong)
			told(i, &m, wrong);
		learned += judged.learned;
		broken += judged.malformed;
	}
	/* the test would be worth nothing if nearly all were broken, or none */
	assert_in_range(learned, n / 4, n * 10);
	assert_in_range(broken, n / 20, n / 4 * 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_kernel_reads_answers_as_the_reference_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
