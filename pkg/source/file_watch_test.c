/* SPDX-License-Identifier: Apache-2.0 */
#include "source/file_watch.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "testkit/netns_fixture.h"

static char dir[64], path[96];
static struct loop *l;
static struct loop_timer *end;
static struct file_watch *w;
static struct err e;
static int calls;

static void on_change(void *data)
{
	calls++;
}

static void on_end(void *data)
{
	loop_quit(l);
}

static int start(void **state)
{
	calls = 0;
	strcpy(dir, "/tmp/watch-test-XXXXXX");
	if (!mkdtemp(dir) || loop_new(&l, &e) < 0)
		return -1;
	snprintf(path, sizeof(path), "%s/p", dir);
	return loop_timer_new(l, on_end, NULL, &end, &e);
}

static int stop(void **state)
{
	file_watch_free(w);
	w = NULL;
	loop_timer_free(end);
	loop_free(l);
	sh("rm -rf %s", dir);
	return 0;
}

static void watch(void)
{
	expect_ok(file_watch_new(l, path, on_change, NULL, &w, &e), &e);
}

/* The number of calls that command brings about, within ms. */
static int calls_after(const char *command, int ms)
{
	calls = 0;
	sh("cd %s && %s", dir, command);
	loop_timer_arm(end, ms);
	expect_ok(loop_run(l, &e), &e);
	return calls;
}

struct step {
	const char *command;
	int calls;
};

static void run_steps(const struct step *steps, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int got = calls_after(steps[i].command, 110);

		if (got != steps[i].calls)
			fail_msg("%s: %d calls, expected %d", steps[i].command, got,
				 steps[i].calls);
	}
}

#define RUN_STEPS(steps) run_steps(steps, sizeof(steps) / sizeof((steps)[0]))

static void tells_of_policy_files_only(void **state)
{
	static const struct step steps[] = {
		{"true", 0},
		{"echo a >p/a.yaml", 1},
		{"echo b >p/a.yaml", 1}, /* same size, maybe the same clock tick */
		{"echo x >p/.a.yaml.swp; echo x >p/a.yaml~; echo x >'p/#a.yaml#'; rm p/a.yaml~", 0},
		{"echo x >p/note.txt; mkdir p/sub; touch p/sub/x.yaml", 0},
		{"echo c >p/.tmp; mv p/.tmp p/a.yaml", 1},
		{"chmod 600 p/a.yaml", 1},
		{"mv p/a.yaml p/a.yaml.off", 1},
		{"mv p/a.yaml.off p/b.json; rm p/b.json", 0},
		{"touch other other.yaml; rm other.yaml", 0},
	};

	sh("mkdir %s", path);
	watch();
	RUN_STEPS(steps);
}

static void the_folder_may_come_and_go(void **state)
{
	static const struct step steps[] = {
		{"mkdir -p x/y", 0},
		{"echo a >x/y/a.yaml", 0},
		{"mv x q && mkdir z && mv q z/q", 0},
		{"mkdir p && echo a >p/a.yaml", 1},
		{"mv p elsewhere", 1},
		{"echo b >elsewhere/a.yaml", 0},
		{"mv elsewhere p", 1},
		{"echo bb >p/a.yaml", 1},
		{"rm -r p", 1},
		{"mkdir p && echo a >p/a.yaml", 1},
	};

	watch();
	RUN_STEPS(steps);
}

static void a_path_of_missing_parents_is_found_when_it_appears(void **state)
{
	static const struct step steps[] = {
		{"mkdir p", 0},
		{"mkdir p/q", 0},
		{"mkdir p/q/r && echo a >p/q/r/a.yaml", 1},
		{"echo b >>p/q/r/a.yaml", 1},
		{"mv p/q p/q2 && sleep 0.01 && mv p/q2 p/q && echo c >>p/q/r/a.yaml", 1},
		{"echo d >>p/q/r/a.yaml", 1},
	};

	strcat(path, "/q/r");
	watch();
	RUN_STEPS(steps);
}

static void follows_the_swap_of_a_config_map(void **state)
{
	static const struct step steps[] = {
		{"mkdir p/..2 && echo bb >p/..2/a.yaml && ln -s ..2 p/..data_tmp && "
		 "mv -T p/..data_tmp p/..data && rm -r p/..1",
		 1},
		{"mkdir p/..3 && echo bb >p/..3/a.yaml && echo c >p/..3/b.yaml && "
		 "ln -s ..3 p/..data_tmp && mv -T p/..data_tmp p/..data && rm -r p/..2 && "
		 "ln -s ..data/b.yaml p/b.yaml",
		 1},
		{"echo direct >>p/..3/a.yaml", 1},
		{"echo direct >>p/..3/not-linked.yaml", 0},
	};

	sh("mkdir -p %s/..1 && cd %s && echo a >..1/a.yaml && ln -s ..1 ..data && "
	   "ln -s ..data/a.yaml a.yaml",
	   path, path);
	watch();
	RUN_STEPS(steps);
}

static void follows_links_out_of_the_folder(void **state)
{
	static const struct step steps[] = {
		{"echo b >>far/away/real.txt", 1},
		{"echo b >>far/away/other.txt", 0},
		{"ln -sfn two cur", 1},
		{"echo b >>one/a.yaml", 0},
		{"echo b >>two/a.yaml", 1},
		{"ln -sfn loop loop && ln -sfn loop cur", 1},
		{"ln -sfn one cur", 1},
	};

	sh("cd %s && mkdir -p far/away one two && echo a >far/away/real.txt && echo 1 >one/a.yaml "
	   "&& "
	   "echo 22 >two/a.yaml && ln -s ../far/away/real.txt one/l.yaml && "
	   "ln -s %s/one cur && ln -s cur p",
	   dir, dir);
	watch();
	RUN_STEPS(steps);
}

static void a_burst_is_one_call_and_a_flood_is_not_forever_silent(void **state)
{
	int flood;

	sh("mkdir %s", path);
	watch();
	assert_int_equal(calls_after("for i in $(seq 200); do echo $i >p/$i.yaml; done", 110), 1);
	sh("cd %s && (for i in $(seq 80); do echo $i >p/a.yaml; sleep 0.015; done) "
	   ">/dev/null 2>&1 &",
	   dir);
	flood = calls_after("true", 1000);
	assert_in_range(flood, 1, 4);
	calls_after("true", 900);
	assert_int_equal(calls_after("true", 110), 0);
}

static void may_be_freed_with_events_waiting(void **state)
{
	sh("mkdir %s", path);
	watch();
	sh("echo a >%s/a.yaml", path);
	file_watch_free(w);
	w = NULL;
	assert_int_equal(calls_after("true", 100), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(tells_of_policy_files_only),
		TEST(the_folder_may_come_and_go),
		TEST(a_path_of_missing_parents_is_found_when_it_appears),
		TEST(follows_the_swap_of_a_config_map),
		TEST(follows_links_out_of_the_folder),
		TEST(a_burst_is_one_call_and_a_flood_is_not_forever_silent),
		TEST(may_be_freed_with_events_waiting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
