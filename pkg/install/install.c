/* SPDX-License-Identifier: Apache-2.0 */
#include "install/install.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "install/conflist.h"
#include "install/folder.h"

#define PAUSE_MS 100

static void set_unless(struct json *entry, const char *key, const char *value, const char *fallback)
{
	if (strcmp(value, fallback) != 0)
		json_set(entry, key, json_new_string(value));
}

struct json *install_entry(const struct daemon_conf *c, const char *namespace)
{
	struct json *entry = json_new_object(), *caps = json_new_object(), *exempt;

	json_set(entry, "type", json_new_string(CONFLIST_TYPE));
	json_set(caps, "io.kubernetes.cri.pod-annotations", json_new_bool(true));
	json_set(entry, "capabilities", caps);
	set_unless(entry, "stateDir", c->state_dir, CONF_STATE_DIR);
	set_unless(entry, "runDir", c->run_dir, CONF_RUN_DIR);
	set_unless(entry, "bpffs", c->bpffs, CONF_BPFFS);
	set_unless(entry, "policyDir", c->policy_dir, CONF_POLICY_DIR);
	if (!namespace || !*namespace || strcmp(namespace, "kube-system") == 0)
		return entry;
	exempt = json_new_array();
	json_append(exempt, json_new_string("kube-system"));
	json_append(exempt, json_new_string(namespace));
	json_set(entry, "exemptNamespaces", exempt);
	return entry;
}

static int plan_once(const struct daemon_conf *conf, const struct json *fallback, bool settled,
		     struct chain_plan *ret, struct err *e)
{
	__cleanup(chain_dir_done) struct chain_dir dir = {0};
	struct chain_in in = {
		.dir = &dir,
		.entry = conf->cni_entry,
		.fallback = fallback,
		.settled = settled,
	};
	int r = chain_dir_load(conf->cni_conf_dir, &dir, e);

	if (r == 0)
		chain_plan(&in, ret);
	return r;
}

int install_chain(const struct daemon_conf *conf, bool dry, struct install_report *ret,
		  struct err *e)
{
	static const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
	__cleanup_json struct json *fallback = install_entry(conf, getenv("POD_NAMESPACE"));
	__cleanup(chain_plan_done) struct chain_plan p = {0};
	int r;

	for (int waited = 0;; waited += PAUSE_MS) {
		bool settled = waited >= INSTALL_GRACE_MS;

		r = plan_once(conf, fallback, settled, &p, e);
		if (r < 0)
			return r;
		if (!p.pending || settled)
			break;
		chain_plan_done(&p);
		p.text = NULL;
		nanosleep(&pause, NULL);
	}
	if (p.text && !dry)
		r = chain_file_store(conf->cni_conf_dir, p.text, e);
	if (r < 0)
		return r;
	*ret = (struct install_report){.text = TAKE(p.text), .why = p.why};
	snprintf(ret->main, sizeof(ret->main), "%s", p.main);
	return 0;
}

/* ---- taking it out ---- */

static void name_add(char *names, size_t size, const char *name)
{
	size_t n = strlen(names);

	snprintf(names + n, size - n, "%s%s", n ? ", " : "", name);
}

/* Multus calls us in a delegate that it copied; it makes it anew by itself. */
static bool calls_us(const struct json *list)
{
	const char *name;

	return conflist_entry(list) ||
	       (conflist_delegates(list) && conflist_delegate_chained(list, &name));
}

int uninstall_chain(const struct daemon_conf *conf, bool dry, struct uninstall_report *ret,
		    struct err *e)
{
	__cleanup(chain_dir_done) struct chain_dir dir = {0};
	int r = chain_dir_load(conf->cni_conf_dir, &dir, e);

	*ret = (struct uninstall_report){0};
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	for (size_t i = 0; i < dir.n; i++) {
		const struct chain_file *f = &dir.files[i];
		bool own = strcmp(f->name, CHAIN_FILE) == 0;
		__cleanup_json struct json *list = NULL;

		if (f->text)
			conflist_parse(f->name, f->text, f->len, &list, NULL);
		ret->foreign |= own && list && !conflist_copy_of(list);
		ret->removed |= own && !ret->foreign;
		if (own && !ret->foreign)
			continue;
		if (calls_us(list))
			name_add(ret->named, sizeof(ret->named), f->name);
		if (list && !*ret->left)
			snprintf(ret->left, sizeof(ret->left), "%s", f->name);
	}
	return ret->removed && !dry ? chain_file_remove(conf->cni_conf_dir, e) : 0;
}
