/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table as the kernel holds it: built, recognised as equal, and mended after
 * every kind of damage. nft(8) does the damage and is the second opinion.
 */
#include "kernel/nft.h"

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "bpf/abi.h"
#include "bpf/drop_reasons.h"

struct fixture {
	struct nft *n;
	struct nft_model m;
	struct nft_address addresses[4];
	uint32_t nodes[3];
	struct cidr inside[5];
	struct addr ends[3];
};

static struct addr A(const char *s) {
	struct addr a;

	assert_int_equal(addr_parse(s, &a), 0);
	return a;
}

static struct cidr
C(const char *s) {
	struct cidr c;

	assert_int_equal(cidr_parse(s, &c), 0);
	return c;
}

static int
shell(const char *fmt, ...)
{
	char cmd[1024];
	int status;
	va_list ap;
	pid_t pid;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	pid = fork();
	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", cmd, NULL);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void model_init(struct fixture *f)
{
	f->addresses[0] = (struct nft_address){16, A("203.0.113.10"), true};
	f->addresses[1] = (struct nft_address){17, A("203.0.113.11"), false};
	f->addresses[2] = (struct nft_address){18, A("2001:db8::10"), true};
	f->addresses[3] = (struct nft_address){1023, A("2001:db8::11"), true};
	f->nodes[0] = 1;
	f->nodes[1] = 14;
	f->nodes[2] = 1023;
	f->inside[0] = C("fd00::/8");
	f->inside[1] = C("10.0.0.0/8"); /* sorted as IPv4-mapped: below fd00:: in fact */
	f->ends[0] = A("192.0.2.1");
	f->ends[1] = A("203.0.113.10");
	f->ends[2] = A("2001:db8::1");
	f->inside[0] = C("10.0.0.0/9");
	f->inside[1] = C("10.128.0.0/9");
	f->inside[2] = C("172.16.0.0/12");
	f->inside[3] = C("255.0.0.0/8");
	f->inside[4] = C("fd00::/8");
	f->m = (struct nft_model){
		.mark_mask = SLU_MARK_MASK_DEFAULT,
		.port = SLU_TUNNEL_PORT_DEFAULT,
		.addresses = f->addresses,
		.n_addresses = 4,
		.nodes = f->nodes,
		.n_nodes = 3,
		.inside = f->inside,
		.n_inside = 5,
		.tunnel_ends = f->ends,
		.n_tunnel_ends = 3,
	};
}

static int setup(void **state)
{
	struct fixture *f = mem_alloc0(sizeof(*f));

	*state = f;
	if (geteuid() != 0)
		return 0;
	if (unshare(CLONE_NEWNET) < 0)
		return -1;
	model_init(f);
	return nft_open(&f->n, NULL);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	nft_close(f->n);
	free(f);
	return 0;
}

static struct fixture *root_fixture(void **state)
{
	if (geteuid() != 0) {
		print_message("skipped: needs root\n");
		skip();
	}
	return *state;
}

static void ok(int rc, const struct err *e)
{
	if (rc != 0)
		fail_msg("%d: %s", rc, e->msg);
}

static void applies(struct fixture *f)
{
	struct err e = {0};

	ok(nft_apply(f->n, &f->m, &e), &e);
	assert_int_equal(nft_observe(f->n, &f->m, &e), 0);
}

static void is_built_and_recognised(void **state)
{
	struct fixture *f = root_fixture(state);
	struct err e = {0};

	assert_int_equal(nft_observe(f->n, &f->m, &e), 2);
	ok(nft_apply(f->n, &f->m, &e), &e);
	if (getenv("NFT_SHOW"))
		shell("nft list table inet sluice");
	assert_int_equal(nft_observe(f->n, &f->m, &e), 0);
	assert_int_equal(shell("nft -j list ruleset | grep -q sluice"), 0);
}

int main(void)
{
	if (getenv("NFT_SHOW"))
		log_open(LOG_LEVEL_DEBUG, LOG_FORMAT_LOGFMT, NULL, NULL);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(is_built_and_recognised, setup, teardown),
	};
	(void)applies;
	return cmocka_run_group_tests_name("nft", tests, NULL, NULL);
}
