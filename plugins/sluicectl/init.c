/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes the files to start from into a folder of their own: to look at, to edit, to
 * copy. Nothing is put where a runtime or systemd would take it up by itself. The
 * files are those of conf/, taken in by the assembler, so that there is one of each.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/atomic_file.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "ctl.h"

#define INCLUDE_FILE(SYMBOL, PATH)                                               \
	extern const char SYMBOL[], SYMBOL##_end[];                              \
	__asm__(".section .rodata\n" #SYMBOL ":\n.incbin \"" PATH "\"\n" #SYMBOL \
		"_end:\n.byte 0\n.previous\n")

INCLUDE_FILE(file_conflist, "conf/conflists/10-bridge-sluice.conflist");
INCLUDE_FILE(file_cluster, "conf/samples/cluster.yaml");
INCLUDE_FILE(file_gateway, "conf/samples/egress-gateway.yaml");
INCLUDE_FILE(file_policy, "conf/samples/egress-policy.yaml");
INCLUDE_FILE(file_unit, "conf/sluiced.service");

static const struct {
	const char *name, *from, *to, *what;
} files[] = {
	{"10-sluice.conflist", file_conflist, file_conflist_end, "copy to /etc/cni/net.d"},
	{"policies.d/cluster.yaml", file_cluster, file_cluster_end,
	 "what the cluster is: edit, copy to " CONF_POLICY_DIR},
	{"policies.d/egress-gateway.yaml", file_gateway, file_gateway_end,
	 "egress addresses: edit, copy to " CONF_POLICY_DIR},
	{"policies.d/egress-policy.yaml", file_policy, file_policy_end,
	 "where pods may go, and as which address: edit, copy to " CONF_POLICY_DIR},
	{"sluiced.service", file_unit, file_unit_end,
	 "copy to /etc/systemd/system, then systemctl enable --now sluiced"},
};

#define N_FILES (sizeof(files) / sizeof(*files))

static int nothing_there(const char *dir, struct err *e)
{
	for (size_t i = 0; i < N_FILES; i++) {
		__cleanup_free char *path = mem_printf("%s/%s", dir, files[i].name);

		if (access(path, F_OK) == 0)
			return err_set(e, -EEXIST, "%s is there already (--force replaces it)",
				       path);
	}
	return 0;
}

static int folder_open(const char *path, int *ret, struct err *e)
{
	int r = dir_make(path, 0755, e);

	if (r < 0)
		return r;
	*ret = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *ret < 0 ? err_sys(e, -errno, "open %s", path) : 0;
}

static int file_write(const char *dir, size_t i, struct err *e)
{
	__cleanup_free char *path = mem_printf("%s/%s", dir, files[i].name);
	__cleanup_close int fd = -1;
	char *slash = strrchr(path, '/');
	int r;

	*slash = 0;
	r = folder_open(path, &fd, e);
	if (r < 0)
		return r;
	return atomic_file_store(fd, slash + 1, files[i].from,
				 (size_t)(files[i].to - files[i].from), 0644, e);
}

static void print_files(const struct ctl *ctl, const char *dir)
{
	static const char *const head[] = {"FILE", "WHAT TO DO WITH IT"};
	__cleanup(table_freep) struct table *t = table_new(head, 2);
	__cleanup_json struct json *list = json_new_array();

	for (size_t i = 0; i < N_FILES; i++) {
		__cleanup_free char *path = mem_printf("%s/%s", dir, files[i].name);
		const char *cells[] = {path, files[i].what};

		table_row(t, cells);
		json_append(list, json_new_string(path));
	}
	if (ctl->json)
		ctl_print_json(list);
	else
		table_print(t);
}

static int run(struct ctl *ctl)
{
	const char *dir = ctl->n_args ? ctl->args[0] : "sluice";
	struct err e = {0};
	int r = ctl->force ? 0 : nothing_there(dir, &e);

	for (size_t i = 0; r == 0 && i < N_FILES; i++)
		r = file_write(dir, i, &e);
	if (r < 0)
		return ctl_fail(&e);
	print_files(ctl, dir);
	return CTL_OK;
}

const struct verb verb_init = {
	.name = "init",
	.run = run,
	.max_args = 1,
	.help = "init [DIR] [--force] [OPTION]…\n"
		"write a conflist, sample policies and the systemd unit\n"
		"\n"
		"Into DIR (default: sluice), to look at, edit and copy. Nothing takes effect by\n"
		"itself.\n"
		"\n"
		"  --force              overwrite files that are there\n"
		"\n",
};
