/* SPDX-License-Identifier: Apache-2.0 */
/*
 * support-bundle, of a node. Each verb is asked in a child of its own: what one cannot read,
 * or falls over, is a line in the list of what is missing, and the rest is there.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "base/atomic_file.h"
#include "base/mem.h"
#include "bundle.h"
#include "capture.h"
#include "ctl.h"
#include "kernel_json.h"
#include "text.h"
#include "view.h"

#define SERVICE_ACCOUNT_TOKEN "/var/run/secrets/kubernetes.io/serviceaccount/token"
#define SNAPSHOT	      "snapshot"
#define SNAPSHOT_MAX	      (512u << 20)
#define LOG_TAIL	      (1u << 20)
#define FILES_MAX	      200 /* of a folder */

/* ---- files ---- */

static void file_add(struct bundle *b, const char *name, const char *path)
{
	__cleanup_free char *text = NULL;
	struct err e = {0};
	size_t len;

	if (atomic_file_load(AT_FDCWD, path, BUNDLE_FILE_MAX, &text, &len, &e) < 0)
		bundle_missing(b, name, e.msg);
	else
		bundle_add(b, name, text, len);
}

/* The last part of a file that may be of any size. */
static void tail_add(struct bundle *b, const char *name, const char *path)
{
	__cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	__cleanup_free char *text = mem_alloc0(LOG_TAIL);
	struct err e = {0};
	struct stat st;
	ssize_t n = -1;

	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		n = pread(fd, text, LOG_TAIL, st.st_size > LOG_TAIL ? st.st_size - LOG_TAIL : 0);
	if (n < 0) {
		err_sys(&e, -(errno ?: EINVAL), "%s", path);
		bundle_missing(b, name, e.msg);
		return;
	}
	bundle_add(b, name, text, (size_t)n);
}

static bool is_text_file(const char *name)
{
	static const char *const ends[] = {".yaml", ".yml", ".json", ".conf", ".conflist"};
	const char *dot = strrchr(name, '.');

	for (size_t i = 0; dot && *name != '.' && i < sizeof(ends) / sizeof(*ends); i++)
		if (strcmp(dot, ends[i]) == 0)
			return true;
	return false;
}

static void folder_add(struct bundle *b, const char *as, const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *d;
	struct err e = {0};
	size_t n = 0;

	if (!dir) {
		err_sys(&e, -errno, "%s", path);
		bundle_missing(b, as, e.msg);
		return;
	}
	while ((d = readdir(dir)) && n < FILES_MAX) {
		__cleanup_free char *name = mem_printf("%s/%.60s", as, d->d_name);
		__cleanup_free char *file = mem_printf("%s/%s", path, d->d_name);

		if (!is_text_file(d->d_name))
			continue;
		file_add(b, name, file);
		n++;
	}
	closedir(dir);
}

/* What is in the state folder, and not what it says: names, sizes, times. */
static void state_add(struct bundle *b, const char *path)
{
	struct json *list = json_new_array();
	DIR *dir = opendir(path);
	const struct dirent *d;
	struct err e = {0};

	if (!dir) {
		err_sys(&e, -errno, "%s", path);
		bundle_missing(b, "state.json", e.msg);
		json_free(list);
		return;
	}
	while ((d = readdir(dir))) {
		struct json *o = json_new_object();
		struct stat st;

		json_set(o, "name", json_new_string(d->d_name));
		if (fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
			json_set(o, "folder", json_new_bool(S_ISDIR(st.st_mode)));
			json_set(o, "bytes", json_new_int(st.st_size));
			json_set(o, "modified", json_new_int(st.st_mtime));
		}
		json_append(list, o);
	}
	closedir(dir);
	bundle_add_json(b, "state.json", list);
}

static void snapshot_add(struct bundle *b, const char *state_dir)
{
	__cleanup_free char *path = mem_printf("%s/" SNAPSHOT, state_dir), *data = NULL;
	struct image_info info;
	struct err e = {0};
	struct image img;
	struct json *o;
	size_t len;

	if (atomic_file_load(AT_FDCWD, path, SNAPSHOT_MAX, &data, &len, &e) < 0 ||
	    image_open(&img, data, len, &e) < 0) {
		bundle_missing(b, "snapshot.json", e.msg);
		return;
	}
	image_info_get(&img, &info);
	o = json_new_object();
	json_set(o, "bytes", json_new_int((int64_t)len));
	json_set(o, "generation", json_new_int((int64_t)info.generation));
	json_set(o, "fromApi", json_new_bool(!info.fingerprint));
	json_set(o, "fingerprint", json_new_int((int64_t)info.fingerprint));
	json_set(o, "digest", json_new_int((int64_t)info.digest));
	json_set(o, "markMask", json_new_int(info.mark_mask));
	bundle_add_json(b, "snapshot.json", o);
}

/* ---- what verbs say ---- */

struct asked_verb {
	const struct verb *verb;
	struct ctl ctl;
};

static int verb_child(void *data)
{
	struct asked_verb *k = data;

	return k->verb->run(&k->ctl);
}

static void verb_add(struct bundle *b, const struct ctl *ctl, const struct verb *verb)
{
	__cleanup(captured_done) struct captured c = {0};
	__cleanup_free char *name = mem_printf("%s.json", verb->name);
	struct asked_verb k = {verb, *ctl};
	struct err e = {0};

	k.ctl.json = k.ctl.all = k.ctl.hits = true;
	k.ctl.n_args = 0;
	if (capture(verb_child, &k, BUNDLE_FILE_MAX + 1, &c, &e) < 0)
		bundle_missing(b, name, e.msg);
	else
		bundle_add_said(b, name, &c);
}

/* ---- what the machine says ---- */

static void line_of_file(struct json *o, const char *key, const char *path)
{
	__cleanup_free char *text = NULL;
	size_t len;

	if (atomic_file_load(AT_FDCWD, path, 4096, &text, &len, NULL) < 0)
		return;
	text[strcspn(text, "\n")] = '\0';
	json_set(o, key, json_new_string(text));
}

static void machine_add(struct bundle *b, const struct ctl *ctl)
{
	struct json *o = json_new_object();
	struct utsname u = {0};
	time_t now = time(NULL);
	char when[32];
	struct tm tm;

	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
	uname(&u);
	json_set(o, "sluice", json_new_string(SLUICE_VERSION));
	json_set(o, "node", json_new_string(ctl->conf.node_name));
	json_set(o, "time", json_new_string(when));
	json_set(o, "kernel", json_new_string(u.release));
	json_set(o, "kernelVersion", json_new_string(u.version));
	json_set(o, "machine", json_new_string(u.machine));
	json_set(o, "asRoot", json_new_bool(geteuid() == 0));
	line_of_file(o, "system", "/etc/os-release");
	line_of_file(o, "uptime", "/proc/uptime");
	line_of_file(o, "load", "/proc/loadavg");
	line_of_file(o, "memory", "/proc/meminfo");
	line_of_file(o, "boot", "/proc/sys/kernel/random/boot_id");
	bundle_add_json(b, "machine.json", o);
}

/* Other people's programs see what ours do not, where they are installed. */
static void programs_add(struct bundle *b)
{
	static const struct {
		const char *name, *argv[8];
	} list[] = {
		{"nft.txt", {"nft", "list", "table", "inet", "sluice"}},
		{"ip-rule.txt", {"ip", "rule"}},
		{"ip-6-rule.txt", {"ip", "-6", "rule"}},
		{"ip-route.txt", {"ip", "route"}},
		{"ip-6-route.txt", {"ip", "-6", "route"}},
		{"tc-qdisc.txt", {"tc", "-s", "qdisc"}},
		{"journal.log",
		 {"journalctl", "-u", "sluiced", "-n", "5000", "--no-pager", "-o", "short-iso"}},
	};

	for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++) {
		__cleanup(captured_done) struct captured c = {0};
		const char *argv[9] = {0};
		struct err e = {0};

		memcpy(argv, list[i].argv, sizeof(list[i].argv));
		if (capture_program(argv, BUNDLE_FILE_MAX + 1, &c, &e) < 0)
			bundle_missing(b, list[i].name, e.msg);
		else if (c.status != 0)
			bundle_missing(b, list[i].name, *c.err ? c.err : "it took too long");
		else
			bundle_add(b, list[i].name, c.out, c.out_len);
	}
}

static void view_add(struct bundle *b, const struct ctl *ctl)
{
	__cleanup(view_done) struct view v = {0};
	struct err e = {0};

	if (view_open(&ctl->conf, time(NULL), &v, &e) < 0)
		bundle_missing(b, "attachments", e.msg);
	bundle_add_json(b, "kernel.json", kernel_json(&ctl->conf, v.records, v.n_records));
}

/* ---- the plugin's log, as the lists in force name it ---- */

static const char *log_in(const struct json *list)
{
	const struct json *plugins = json_get(list, "plugins");

	for (size_t i = 0; i < json_len(plugins); i++) {
		const char *type = text_of(json_at(plugins, i), "type");

		if (type && strcmp(type, "sluice") == 0)
			return text_of(json_at(plugins, i), "logFile");
	}
	return NULL;
}

static void plugin_log_add(struct bundle *b, const char *folder)
{
	DIR *dir = opendir(folder);
	const struct dirent *d;
	bool found = false;

	while (dir && !found && (d = readdir(dir))) {
		__cleanup_free char *path = mem_printf("%s/%s", folder, d->d_name), *text = NULL;
		__cleanup_json struct json *list = NULL;
		const char *log;
		size_t len;

		if (!is_text_file(d->d_name) ||
		    atomic_file_load(AT_FDCWD, path, BUNDLE_FILE_MAX, &text, &len, NULL) < 0 ||
		    json_parse(text, len, &list, NULL) < 0)
			continue;
		log = log_in(list);
		found = log != NULL;
		if (found)
			tail_add(b, "plugin.log", log);
	}
	if (dir)
		closedir(dir);
	if (!found)
		bundle_missing(b, "plugin.log", "no list names a logFile: see the runtime's log");
}

/* ---- all of it ---- */

static void secrets_learn(struct bundle *b, const struct daemon_conf *conf)
{
	redactor_learn_file(&b->redactor, SERVICE_ACCOUNT_TOKEN);
	if (conf->gateway_key_file)
		redactor_learn_file(&b->redactor, conf->gateway_key_file);
	if (conf->kubeconfig)
		redactor_learn_kubeconfig(&b->redactor, conf->kubeconfig);
}

static int run(struct ctl *ctl)
{
	static const struct verb *const verbs[] = {&verb_status,   &verb_gateways, &verb_policies,
						   &verb_bindings, &verb_rules,	   &verb_counters,
						   &verb_names,	   &verb_lint};
	const char *lists = ctl->conf.cni_conf_dir ?: CONF_CNI_CONF_DIR;
	struct bundle b = {.json = ctl->json};
	struct err e = {0};

	secrets_learn(&b, &ctl->conf);
	if (bundle_open(&b, ctl->conf.node_name, ctl->n_args ? ctl->args[0] : NULL, &e) < 0) {
		ctl_fail(&e);
		bundle_close(&b);
		return CTL_FAILED;
	}
	machine_add(&b, ctl);
	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++)
		verb_add(&b, ctl, verbs[i]);
	view_add(&b, ctl);
	snapshot_add(&b, ctl->conf.state_dir);
	state_add(&b, ctl->conf.state_dir);
	file_add(&b, "sluiced.yaml", ctl->config ?: CONF_FILE);
	folder_add(&b, "policies.d", ctl->conf.policy_dir);
	folder_add(&b, "net.d", lists);
	plugin_log_add(&b, lists);
	programs_add(&b);
	return bundle_close(&b);
}

const struct verb verb_support_bundle = {
	.name = "support-bundle",
	.run = run,
	.max_args = 1,
	.help = "support-bundle [FILE] [OPTION]…\n"
		"collect one .tar.gz for whoever helps you, without secrets\n"
		"\n"
		"FILE is sluice-support-….tar.gz in this folder by default, \"-\" standard "
		"output.\n"
		"For a node: version, settings, what status, gateways, policies, bindings, rules,\n"
		"counters and names say, conflists, policies, logs, and what is Sluice's in the\n"
		"kernel. For a cluster: Sluice's objects with their status, nodes, the daemon's\n"
		"pods, Events. At most 8 MiB per file and 64 MiB in all; keys, tokens and\n"
		"passwords are taken out. contents.json lists what is in it, what could not be\n"
		"read, and why. Names and addresses of pods, policies and destinations stay in.\n"
		"\n",
};
