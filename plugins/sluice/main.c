/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order of judgement is skel's, with one exception: that CNI_NETNS is the
 * plugin's own namespace is found before the verb runs, not after the damage.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/version.h"
#include "plugin.h"
#include "state/retired.h"

VERSION_MARKED;

static int (*const verbs[CNI_VERB_COUNT])(struct plugin *p, struct err *e) = {
	[CNI_ADD] = verb_add, [CNI_DEL] = verb_del,	  [CNI_CHECK] = verb_check,
	[CNI_GC] = verb_gc,   [CNI_STATUS] = verb_status, [CNI_VERSION] = verb_version,
};

/* Verbs that concern a container: GC and STATUS come with empty variables. */
static bool has_container(enum cni_verb verb)
{
	return verb == CNI_ADD || verb == CNI_DEL || verb == CNI_CHECK;
}

static void on_oom(void)
{
	ssize_t n = write(STDOUT_FILENO, cni_error_no_memory, strlen(cni_error_no_memory));

	_exit(n < 0 ? 2 : 1);
}

int reply_print(const char *text)
{
	__cleanup_free char *line = mem_printf("%s\n", text);
	size_t len = strlen(line), done = 0;

	while (done < len) {
		ssize_t n = write(STDOUT_FILENO, line + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	return 0;
}

static void about_print(void)
{
	__cleanup_free char *versions = cni_versions_text();

	fprintf(stderr,
		"CNI plugin sluice " SLUICE_VERSION
		": a pod's egress identity and rules, chained behind any main plugin\n"
		"CNI protocol versions supported: %s\n",
		versions);
}

static int netns_check(const struct cni_request *req, struct err *e)
{
	struct stat own, given;

	if (!has_container(req->verb) || !*req->env.netns || cni_netns_override(&req->env))
		return 0;
	if (stat("/proc/self/ns/net", &own) < 0 || stat(req->env.netns, &given) < 0)
		return 0; /* gone: fine for DEL, and ADD says so when it opens it */
	if (own.st_dev != given.st_dev || own.st_ino != given.st_ino)
		return 0;
	return err_set(e, CNI_INVALID_NETNS,
		       "plugin's netns and netns from CNI_NETNS should not be the same");
}

/* DEL and GC work from records: what is wrong beside the paths must not keep pods from ending. */
static int conf_parse_paths(struct plugin *p, const struct err *wrong)
{
	if (p->req.verb != CNI_DEL && p->req.verb != CNI_GC)
		return wrong->code;
	if (plugin_conf_parse_paths(p->req.conf, &p->conf, NULL) < 0)
		return wrong->code;
	log_warn("the entry is wrong", "error=%s", log_quote(wrong->msg));
	return 0;
}

static int conf_parse(struct plugin *p, struct err *e)
{
	int r = plugin_conf_parse(p->req.conf, &p->conf, e);

	if (r < 0)
		r = conf_parse_paths(p, e);
	if (r == -EOPNOTSUPP)
		return CNI_UNSUPPORTED_FIELD;
	if (r < 0)
		return CNI_INVALID_CONFIG;
	/* a log file that cannot be opened must not keep a pod from starting */
	if (log_open(p->conf->log_level, LOG_FORMAT_LOGFMT, p->conf->log_file, e) < 0) {
		log_open(p->conf->log_level, LOG_FORMAT_LOGFMT, NULL, NULL);
		log_warn("log file not usable", "error=%s", log_quote(e->msg));
	}
	return 0;
}

static int plugin_run(struct plugin *p, const struct cni_env *env, struct err *e)
{
	__cleanup_free char *text = NULL;
	enum cni_verb verb;
	size_t len = 0;
	int r;

	r = cni_verb_parse(env, &verb, e);
	if (r == 0)
		r = cni_stdin_load(STDIN_FILENO, &text, &len, e);
	if (r == 0)
		r = cni_request_parse(&p->req, env, text, len, e);
	if (r == 0 && verb != CNI_VERSION)
		r = netns_check(&p->req, e);
	if (r == 0 && verb != CNI_VERSION)
		r = conf_parse(p, e);
	if (r)
		return r;
	if (verb != CNI_VERSION && retired_get(p->conf->state_dir))
		r = verb_retired(p, e);
	else
		r = verbs[verb](p, e);
	if (r)
		log_error("failed", "command=%s container=%s ifname=%s code=%d error=%s",
			  cni_verb_name(verb), log_quote(p->req.env.container_id),
			  log_quote(p->req.env.ifname), r, log_quote(e->msg));
	return r;
}

static void error_print(const struct plugin *p, int code, const char *msg)
{
	const char *version = *p->req.version ? p->req.version : CNI_VERSION_NEWEST;
	__cleanup_free char *text = cni_error_emit(version, (enum cni_code)code, msg, p->details);

	reply_print(text);
}

int main(void)
{
	struct plugin p = {0};
	struct err e = {0};
	struct cni_env env;
	int r;

	oom_hook = on_oom;
	signal(SIGPIPE,
	       SIG_IGN); /* a runtime that went away is an error, not a death in mid-work */
	cni_env_get(&env);
	if (!env.command || !*env.command) {
		about_print();
		return 0;
	}
	r = plugin_run(&p, &env, &e);
	if (r)
		error_print(&p, r, e.msg);
	plugin_conf_free(p.conf);
	journal_close(p.journal);
	cni_request_done(&p.req);
	free(p.details);
	return r ? 1 : 0;
}
