/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/docker_user.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "kernel/nft_parse.h"

#define CHAIN	"DOCKER-USER"
#define COMMENT "sluice-egress" /* letters and "-" alone: iptables prints it without quotes */
#define WORDS	24

static const struct backend {
	unsigned int bit;
	const char *program;
	const char *tables; /* of legacy iptables: where its tables are named */
} backends[] = {
	{DOCKER_USER_NFT4, "iptables-nft", NULL},
	{DOCKER_USER_NFT6, "ip6tables-nft", NULL},
	{DOCKER_USER_LEGACY4, "iptables-legacy", "/proc/thread-self/net/ip_tables_names"},
	{DOCKER_USER_LEGACY6, "ip6tables-legacy", "/proc/thread-self/net/ip6_tables_names"},
};

/* ---- running iptables ---- */

/* The daemon's mask of signals is not for others. */
static int run(const char *const *argv, int out, pid_t *ret)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none;
	int rc;

	sigemptyset(&none);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
	posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	rc = posix_spawnp(ret, argv[0], &files, &attr, (char *const *)(uintptr_t)argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	return -rc;
}

/* 0, 1 (it says no: there is no such chain), -errno. *ret_out: what it printed, may be NULL. */
static int iptables(const char *const *argv, char **ret_out, struct err *e)
{
	__cleanup_close int in = -1, out = -1;
	__cleanup_file FILE *f = NULL;
	int ends[2], status = 0, rc;
	size_t room = 0;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(e, -errno, "pipe");
	in = ends[0];
	out = ends[1];
	rc = run(argv, out, &pid);
	if (rc < 0)
		return err_sys(e, rc, "%s", argv[0]);
	close(TAKE_FD(out));
	f = fdopen(TAKE_FD(in), "r");
	if (ret_out && f && getdelim(ret_out, &room, '\0', f) < 0) {
		free(*ret_out); /* it has made room all the same */
		*ret_out = mem_strdup("");
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) <= 1)
		return WEXITSTATUS(status);
	return err_set(e, -EIO, "%s %s " CHAIN ": status %d", argv[0], argv[3],
		       WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
}

/* ---- one chain ---- */

static int rule_add(const struct backend *b, uint32_t mask, struct err *e)
{
	char mark[32];
	const char *const argv[] = {b->program,	 "-w",	  "5",	    "-I",     CHAIN, "-m",
				    "connmark",	 "!",	  "--mark", mark,     "-m",  "comment",
				    "--comment", COMMENT, "-j",	    "ACCEPT", NULL};
	int rc;

	snprintf(mark, sizeof(mark), "0x0/0x%x", mask);
	rc = iptables(argv, NULL, e);
	return rc > 0 ? err_set(e, -EIO, "%s -I " CHAIN ": refused", b->program) : rc;
}

/* line is how iptables prints it: "-A DOCKER-USER …". */
static int rule_delete(const struct backend *b, char *line, struct err *e)
{
	const char *argv[WORDS + 5] = {b->program, "-w", "5", "-D"};
	size_t n = 4;
	char *save = NULL;
	int rc;

	strtok_r(line, " ", &save); /* -A */
	for (char *s; n < WORDS + 4 && (s = strtok_r(NULL, " ", &save));)
		argv[n++] = s;
	rc = iptables(argv, NULL, e);
	return rc < 0 ? rc : 0; /* 1: it is gone already */
}

static bool is_ours(const char *line)
{
	return strncmp(line, "-A " CHAIN " ", strlen("-A " CHAIN " ")) == 0 &&
	       strstr(line, "--comment " COMMENT " ");
}

/* Once, wherever in the chain: what the administrator put before it is meant to come first. */
static bool stands(const char *rules, uint32_t mask)
{
	__cleanup_free char *copy = mem_strdup(rules), *mark = mem_printf(" 0x0/0x%x ", mask);
	char *save = NULL;
	size_t n = 0;
	bool same = true;

	for (char *s = strtok_r(copy, "\n", &save); s; s = strtok_r(NULL, "\n", &save)) {
		n += is_ours(s);
		same = same && (!is_ours(s) || strstr(s, mark));
	}
	return same && n == 1;
}

/* 1: our rule stands there. */
static int chain_apply(const struct backend *b, uint32_t mask, struct err *e)
{
	const char *const list[] = {b->program, "-w", "5", "-S", CHAIN, NULL};
	__cleanup_free char *rules = NULL;
	char *save = NULL;
	int rc = iptables(list, &rules, e);

	if (rc == -ENOENT && !mask) /* who would have written it */
		return 0;
	if (rc) /* 1: no such chain */
		return rc < 0 ? rc : 0;
	if (mask && stands(rules, mask))
		return 1;
	for (char *s = strtok_r(rules, "\n", &save); s && rc == 0; s = strtok_r(NULL, "\n", &save))
		if (is_ours(s))
			rc = rule_delete(b, s, e);
	if (rc == 0 && mask)
		rc = rule_add(b, mask, e);
	return rc < 0 ? rc : mask != 0;
}

/* ---- all of them ---- */

static int on_chain(const struct nlmsghdr *nlh, void *data)
{
	struct nft_chain_said c;
	unsigned int *found = data;

	if (nft_chain_parse(nlh, &c) < 0)
		return MNL_CB_ERROR;
	if (c.table && c.name && strcmp(c.table, "filter") == 0 && strcmp(c.name, CHAIN) == 0)
		*found |= c.family == NFPROTO_IPV4   ? DOCKER_USER_NFT4
			  : c.family == NFPROTO_IPV6 ? DOCKER_USER_NFT6
						     : 0;
	return MNL_CB_OK;
}

/* Nobody is asked who would make a table by being asked. */
static int chains_find(struct nft *n, unsigned int *ret)
{
	_Alignas(struct nlmsghdr) char buf[256];
	int rc = -EINTR;

	for (int tries = 0; tries < 8 && rc == -EINTR; tries++) {
		*ret = 0;
		rc = nft_request(
			n, nft_request_put(n, buf, NFT_MSG_GETCHAIN, NFPROTO_UNSPEC, NLM_F_DUMP),
			on_chain, ret);
	}
	for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(backends); i++)
		if (backends[i].tables && nft_legacy_has_filter(backends[i].tables))
			*ret |= backends[i].bit;
	return rc;
}

int docker_user_apply(struct nft *n, uint32_t mask, unsigned int *ret, struct err *e)
{
	unsigned int found;
	int rc = chains_find(n, &found), failed = 0;

	*ret = 0;
	if (rc < 0)
		return err_sys(e, rc, "look for " CHAIN);
	for (size_t i = 0; i < ARRAY_SIZE(backends); i++) {
		if (!(found & backends[i].bit))
			continue;
		rc = chain_apply(&backends[i], mask, failed ? NULL : e);
		if (rc > 0)
			*ret |= backends[i].bit;
		else if (rc < 0 && !failed)
			failed = rc;
	}
	return failed;
}
