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

#include "base/cleanup.h"
#include "base/mem.h"
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
	snprintf(dir, sizeof(dir), "/tmp/watch-test-XXXXXX");
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

/* The loop goes on for so long. */
static void run_for(int ms)
{
	loop_timer_arm(end, ms);
	expect_ok(loop_run(l, &e), &e);
}

/*
 * The number of calls that command brings about. Its events are all there when it has
 * ended, so the first run hears them and the burst is over 50 ms later: before the
 * second run is, whose timer is later in the same queue, however slow we are.
 */
static int calls_after(const char *command)
{
	calls = 0;
	sh("cd %s && %s", dir, command);
	run_for(0);
	run_for(110);
	return calls;
}

struct step {
	const char *command;
	int calls;
};

static void run_steps(const struct step *steps, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int got = calls_after(steps[i].command);

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

static void tells_of_one_file_of_any_name(void **state)
{
	static const struct step steps[] = {
		{"true", 0},
		{"echo b >p", 1},
		{"echo c >p", 1},
		{"echo x >other; echo x >q; mv q r", 0},
		{"echo d >q; mv q p", 1},
		{"rm p", 1},
		{"echo e >p", 1},
		/* as kubelet has it */
		{"mkdir ..1 && echo f >..1/p && ln -s ..1 ..data && ln -sf ..data/p p", 1},
		{"mkdir ..2 && echo g >..2/p && ln -s ..2 ..tmp && mv -T ..tmp ..data", 1},
		{"rm -r ..1", 0},
		{"echo h >..2/p", 1},
	};

	sh("echo a >%s", path);
	expect_ok(file_watch_one(l, path, on_change, NULL, &w, &e), &e);
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

	snprintf(path + strlen(path), sizeof(path) - strlen(path), "/q/r");
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

static void a_burst_is_one_call(void **state)
{
	sh("mkdir %s", path);
	watch();
	assert_int_equal(calls_after("for i in $(seq 200); do echo $i >p/$i.yaml; done"), 1);
}

static struct flood {
	struct loop_timer *timer;
	int64_t at, pause; /* when it wrote, and the longest time without, since the last call */
	int64_t called_at;
	int calls;
} flood;

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* It goes on without a pause until the second call. */
static void on_flood(void *data)
{
	__cleanup_free char *name = mem_printf("%s/a.yaml", path);
	int64_t now = now_ms();
	FILE *f = fopen(name, "w");

	assert_non_null(f);
	assert_int_equal(fclose(f), 0);
	if (now - flood.at > flood.pause)
		flood.pause = now - flood.at;
	flood.at = now;
	if (calls > flood.calls) {
		/* a pause of ours may have looked like the flood's end */
		assert_true(now - flood.called_at > 400 || flood.pause > 20);
		flood.called_at = now, flood.pause = 0, flood.calls = calls;
	}
	if (calls == 2)
		loop_quit(l);
	else
		loop_timer_arm(flood.timer, 0);
}

static void a_flood_is_told_of_now_and_then(void **state)
{
	int64_t patience = now_ms() + 60000;

	sh("mkdir %s", path);
	watch();
	flood = (struct flood){.at = now_ms(), .called_at = now_ms()};
	expect_ok(loop_timer_new(l, on_flood, NULL, &flood.timer, &e), &e);
	loop_timer_arm(flood.timer, 0);
	run_for(60000);
	loop_timer_free(flood.timer);
	assert_int_equal(calls, 2);
	while (calls_after("true") != 0)
		assert_true(now_ms() < patience);
}

static void may_be_freed_with_events_waiting(void **state)
{
	sh("mkdir %s", path);
	watch();
	sh("echo a >%s/a.yaml", path);
	file_watch_free(w);
	w = NULL;
	assert_int_equal(calls_after("true"), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(tells_of_policy_files_only),
		TEST(tells_of_one_file_of_any_name),
		TEST(the_folder_may_come_and_go),
		TEST(a_path_of_missing_parents_is_found_when_it_appears),
		TEST(follows_the_swap_of_a_config_map),
		TEST(follows_links_out_of_the_folder),
		TEST(a_burst_is_one_call),
		TEST(a_flood_is_told_of_now_and_then),
		TEST(may_be_freed_with_events_waiting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
