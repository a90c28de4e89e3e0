/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sluiced uninstall: the order of install, backwards, while pods run. The plugin stays and
 * lets everybody through: runtimes call it for earlier pods, and an error would keep
 * those from being deleted.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "install/install.h"
#include "reconcile/daemon.h"
#include "reconcile/reconcile.h"
#include "state/retired.h"
#include "verbs.h"

const char uninstall_help[] =
	"Usage: sluiced uninstall [OPTION]…\n"
	"Gives the node back to its main CNI while pods run: removes Sluice's conflist, all it\n"
	"has in the kernel, and what it stored. The plugin stays and lets every call through,\n"
	"since runtimes call it when earlier pods end. Stop the daemon first.\n"
	"\n"
	"  --config FILE   the daemon's settings (default: " CONF_FILE ")\n"
	"  --conf-dir DIR  folder of the conflists (default: cniConfDir, " CONF_CNI_CONF_DIR ")\n"
	"  --bin-dir DIR   folder of the plugins (default: cniBinDir, " CONF_CNI_BIN_DIR ")\n"
	"  --purge         also the programs and the records of pods; refused while there are\n"
	"                  pods that were started through the plugin\n"
	"  --force         purge anyway: runtimes may then fail to delete such pods\n"
	"  --dry-run       only show what would be done\n"
	"  -o, --output FORMAT  text (default) or json\n"
	"  --help\n"
	"\n"
	"Exit status: 0 done, 1 failed, 2 wrong use.\n";

const struct option uninstall_options[] = {
	{"config", required_argument, NULL, VERB_CONFIG},
	{"conf-dir", required_argument, NULL, VERB_CONF_DIR},
	{"bin-dir", required_argument, NULL, VERB_BIN_DIR},
	{"purge", no_argument, NULL, VERB_PURGE},
	{"force", no_argument, NULL, VERB_FORCE},
	{"dry-run", no_argument, NULL, VERB_DRY_RUN},
	{"output", required_argument, NULL, VERB_OUTPUT},
	{"help", no_argument, NULL, VERB_HELP},
	{0},
};

struct done {
	struct uninstall_report list;
	size_t pods;
	bool purged;
};

static int programs_remove(const char *dir, struct err *e)
{
	static const char *const names[] = {"sluice", "sluiced", "sluicectl"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		__cleanup_free char *path = mem_printf("%s/%s", dir, names[i]);

		if (unlink(path) < 0 && errno != ENOENT)
			return err_sys(e, -errno, "remove %s", path);
	}
	return 0;
}

static int purge_check(const struct verb_options *o, const struct done *d, struct err *e)
{
	if (!o->purge || o->force || !d->pods)
		return 0;
	return err_set(e, -EBUSY,
		       "%zu pods run that were started through the plugin, and runtimes call it "
		       "when they end: uninstall now, and purge when they are gone (or --force)",
		       d->pods);
}

/* The list first: no new pod comes to a plugin whose kernel part is going away. */
static int uninstall(const struct verb_options *o, struct done *d, struct err *e)
{
	const struct daemon_conf *c = &o->conf;
	__cleanup_close int lock = -1;
	int r = state_count_pods(c->state_dir, &d->pods, e);

	if (r == 0)
		r = purge_check(o, d, e);
	if (r < 0 || o->dry_run)
		return r < 0 ? r : uninstall_chain(c, true, &d->list, e);
	r = daemon_alone(c, &lock, e);
	if (r < 0)
		return r == -EBUSY ? err_set(e, r,
					     "a daemon runs: end it first (systemctl disable --now "
					     "sluiced, or delete its DaemonSet)")
				   : r;
	r = retired_store(c->state_dir, true, e);
	if (r == 0)
		r = uninstall_chain(c, false, &d->list, e);
	if (r == 0)
		r = reconcile_cleanup(c, e);
	if (r == 0 && o->purge)
		r = programs_remove(c->cni_bin_dir, e);
	d->purged = r == 0 && o->purge;
	return r < 0 ? r : state_clear(c->state_dir, c->run_dir, o->purge, e);
}

static const char *list_action(const struct uninstall_report *l)
{
	return l->removed ? "removed" : l->foreign ? "kept" : "absent";
}

static void report_json(const struct verb_options *o, const struct done *d)
{
	__cleanup_free char *path = mem_printf("%s/" CHAIN_FILE, o->conf.cni_conf_dir);
	__cleanup_json struct json *report = json_new_object();
	struct json *list = json_new_object();

	json_set(list, "path", json_new_string(path));
	json_set(list, "action", json_new_string(list_action(&d->list)));
	json_set(report, "list", list);
	json_set(report, "first", json_new_string(*d->list.left ? d->list.left : NULL));
	json_set(report, "stillCalledBy", json_new_string(*d->list.named ? d->list.named : NULL));
	json_set(report, "pods", json_new_int((int64_t)d->pods));
	json_set(report, "programs", json_new_string(d->purged ? "removed" : "kept"));
	json_set(report, "dryRun", json_new_bool(o->dry_run));
	verb_print_json(report);
}

static void report_text(const struct verb_options *o, const struct done *d)
{
	const struct daemon_conf *c = &o->conf;

	printf("%s/" CHAIN_FILE ": %s\n", c->cni_conf_dir, list_action(&d->list));
	if (*d->list.left)
		printf("%s/%s comes first now\n", c->cni_conf_dir, d->list.left);
	else
		printf("%s: no other list is there; the runtime has no network until the main CNI "
		       "writes its own\n",
		       c->cni_conf_dir);
	if (*d->list.named)
		printf("%s: still calls the plugin, which lets every pod through: take its entry "
		       "out\n",
		       d->list.named);
	printf("kernel: everything of Sluice is removed\n");
	if (d->purged)
		printf("%s: programs removed; %s: removed\n", c->cni_bin_dir, c->state_dir);
	else
		printf("%s/sluice: kept, it lets every pod through; %zu earlier %s still "
		       "there (--purge when there is none)\n",
		       c->cni_bin_dir, d->pods, d->pods == 1 ? "pod is" : "pods are");
	if (o->dry_run)
		puts("nothing was changed (--dry-run)");
}

int uninstall_main(int argc, char **argv)
{
	__cleanup(verb_options_done) struct verb_options o = {0};
	struct done d = {0};
	struct err e = {0};
	int r;

	if (verb_options_parse(&o, uninstall_options, argc, argv, &e) < 0)
		return verb_usage("uninstall", &e);
	if (o.help) {
		fputs(uninstall_help, stdout);
		return VERB_OK;
	}
	r = uninstall(&o, &d, &e);
	if (r < 0)
		return verb_failed("uninstall", &e);
	if (o.json)
		report_json(&o, &d);
	else
		report_text(&o, &d);
	return VERB_OK;
}
