/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "base/atomic_file.h"
#include "base/log.h"
#include "base/mem.h"
#include "install/chain.h"
#include "install/conflist.h"
#include "install/keeper.h"
#include "install/lists_fixture.h"
#include "testkit/netns_fixture.h"

#define GENEROUS_MS 60000

static char dir[64];
static struct daemon_conf conf;
static struct loop *l;
static struct loop_timer *end;
static struct keeper *k;
static struct err e;

static void on_end(void *data)
{
	loop_quit(l);
}

static int setup(void **state)
{
	snprintf(dir, sizeof(dir), "/tmp/keeper-test-XXXXXX");
	if (!mkdtemp(dir) || loop_new(&l, &e) < 0)
		return -1;
	sh("mkdir %s/net.d", dir);
	daemon_conf_init(&conf);
	conf.cni_conf_dir = mem_printf("%s/net.d", dir);
	log_open(LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT, NULL, NULL);
	return loop_timer_new(l, on_end, NULL, &end, &e);
}

static int teardown(void **state)
{
	keeper_free(k);
	k = NULL;
	loop_timer_free(end);
	loop_free(l);
	daemon_conf_done(&conf);
	sh("rm -rf %s", dir);
	return 0;
}

static void start(void)
{
	expect_ok(keeper_new(l, &conf, &k, &e), &e);
}

static void run_for(int ms)
{
	loop_timer_arm(end, ms);
	expect_ok(loop_run(l, &e), &e);
}

static void put(const char *name, const char *text)
{
	__cleanup_free char *path = mem_printf("%s/net.d/%s", dir, name);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static char *ours(void)
{
	__cleanup_free char *path = mem_printf("%s/net.d/" CHAIN_FILE, dir);
	char *text = NULL;
	size_t n;

	return atomic_file_load(AT_FDCWD, path, 1 << 20, &text, &n, NULL) < 0 ? NULL : text;
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Until our list has this word in it. */
static void expect_soon(const char *word)
{
	int64_t limit = now_ms() + GENEROUS_MS;

	for (;;) {
		__cleanup_free char *text = ours();

		if (text && strstr(text, word))
			return;
		if (now_ms() > limit)
			fail_msg("no %s in %s", word, text ? text : "nothing");
		run_for(20);
	}
}

static void writes_the_list_when_the_main_one_comes_and_when_it_changes(void **state)
{
	start();
	run_for(20);
	assert_null(ours());
	put("10-calico.conflist", CALICO);
	expect_soon("calico-ipam");
	put("10-calico.conflist", FLANNEL);
	expect_soon("hairpinMode");
}

static void keeps_the_list_while_the_main_one_is_broken(void **state)
{
	put("10-calico.conflist", CALICO);
	start();
	expect_soon("calico-ipam");
	put("10-calico.conflist", "{\"name\": \"k8s-pod");
	run_for(200);
	expect_soon("calico-ipam");
	put("10-calico.conflist", KINDNET);
	expect_soon("kindnet");
}

static void hears_of_a_folder_that_is_made_later_and_of_one_made_anew(void **state)
{
	sh("rm -r %s/net.d", dir);
	start();
	run_for(50);
	sh("mkdir %s/net.d", dir);
	put("10-calico.conflist", CALICO);
	expect_soon("calico-ipam");
	sh("rm -r %s/net.d && mkdir %s/net.d", dir, dir);
	expect_soon("calico-ipam"); /* put back, though the main one is gone with it */
	sh("mv %s/net.d %s/old && mkdir %s/net.d", dir, dir, dir);
	put("10-calico.conflist", FLANNEL);
	expect_soon("hairpinMode");
	put("10-calico.conflist", KINDNET);
	expect_soon("kindnet");
}

static void takes_another_list_when_the_main_one_does_not_come_back(void **state)
{
	put("10-calico.conflist", CALICO);
	put("20-other.conflist", FLANNEL);
	start();
	expect_soon("calico-ipam");
	sh("rm %s/net.d/10-calico.conflist", dir);
	expect_soon("hairpinMode");
}

static void puts_back_what_is_taken_away_but_not_as_fast_as_others_like(void **state)
{
	int put_back = 0;

	put("10-calico.conflist", CALICO);
	start();
	expect_soon("calico-ipam");
	for (int64_t until = now_ms() + 3000; now_ms() < until; run_for(10)) {
		__cleanup_free char *text = ours();

		put_back += text != NULL;
		sh("rm -f %s/net.d/" CHAIN_FILE, dir);
	}
	assert_in_range(put_back, 0, 12);
	expect_soon("calico-ipam");
}

static ino_t inode(void)
{
	__cleanup_free char *path = mem_printf("%s/net.d/" CHAIN_FILE, dir);
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_ino;
}

/* Two who watch the folder and answer each other would never end. */
static void does_not_answer_to_what_says_the_same(void **state)
{
	__cleanup_json struct json *list = NULL;
	__cleanup_free char *text = NULL;
	__cleanup_free char *compact = NULL;
	ino_t before;

	put("10-calico.conflist", CALICO);
	start();
	expect_soon("calico-ipam");
	text = ours();
	assert_int_equal(json_parse(text, strlen(text), &list, NULL), 0);
	compact = json_emit(list, 0);
	put(CHAIN_FILE, compact);
	before = inode();
	put("10-calico.conflist", CALICO);
	run_for(300);
	assert_int_equal(inode(), before);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(writes_the_list_when_the_main_one_comes_and_when_it_changes),
		T(keeps_the_list_while_the_main_one_is_broken),
		T(hears_of_a_folder_that_is_made_later_and_of_one_made_anew),
		T(takes_another_list_when_the_main_one_does_not_come_back),
		T(puts_back_what_is_taken_away_but_not_as_fast_as_others_like),
		T(does_not_answer_to_what_says_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
