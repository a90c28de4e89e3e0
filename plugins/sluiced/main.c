/* SPDX-License-Identifier: Apache-2.0 */
/* sluiced: the node daemon. All work is in pkg/reconcile; here are its settings and its end. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/settle.h"
#include "base/version.h"
#include "notify.h"
#include "options.h"
#include "reconcile/daemon.h"
#include "reconcile/reconcile.h"
#include "verbs.h"

VERSION_MARKED;

#define EXIT_FAILED 1
#define EXIT_USAGE  2

static void ready(void)
{
	log_info("ready", "version=%s", log_quote(SLUICE_VERSION));
	notify_ready();
}

static int run(const struct options *o, struct err *e)
{
	int r = log_open(o->conf.log_level, o->conf.log_format, NULL, e);

	if (r < 0)
		return r;
	switch (o->mode) {
	case MODE_ONCE:
		return daemon_once(&o->conf, e);
	case MODE_CLEANUP:
		return reconcile_cleanup(&o->conf, e);
	default:
		return daemon_run(&o->conf, ready, e);
	}
}

/* A report that did not arrive is none, for whoever goes by it. */
static int said(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	fprintf(stderr, "sluiced: write to standard output: %s\n", strerror(errno));
	return EXIT_FAILED;
}

int main(int argc, char **argv)
{
	__cleanup(options_done) struct options o = {0};
	struct err e = {0};

	settle_begin();
	signal(SIGPIPE, SIG_IGN); /* whoever reads its lines may go away */
	if (argc > 1 && strcmp(argv[1], "install") == 0)
		return said(install_main(argc - 1, argv + 1));
	if (argc > 1 && strcmp(argv[1], "uninstall") == 0)
		return said(uninstall_main(argc - 1, argv + 1));
	if (options_parse(&o, argc, argv, &e) < 0) {
		fprintf(stderr, "sluiced: %s\nTry 'sluiced --help'.\n", e.msg);
		return EXIT_USAGE;
	}
	if (o.mode == MODE_HELP) {
		fputs(options_help, stdout);
		return said(0);
	}
	if (o.mode == MODE_VERSION) {
		printf("sluiced %s\n", SLUICE_VERSION);
		return said(0);
	}
	if (run(&o, &e) < 0) {
		fprintf(stderr, "sluiced: %s\n", e.msg);
		return EXIT_FAILED;
	}
	return 0;
}
