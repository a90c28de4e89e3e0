/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any text as sluiced.yaml: settings without holes, each as its key says, or a refusal in one line
 * that names the line of the file.
 */
#include "config/daemon_conf.c"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_folder(const char *path)
{
	assert(!path || path[0] == '/');
}

static void check(const struct daemon_conf *c)
{
	assert(c->node_name && *c->node_name && c->policy_dir && c->state_dir && c->run_dir);
	assert(c->bpffs && c->cni_bin_dir && c->gateway_port);
	check_folder(c->policy_dir);
	check_folder(c->state_dir);
	check_folder(c->run_dir);
	check_folder(c->bpffs);
	check_folder(c->kubeconfig);
	check_folder(c->cni_conf_dir);
	check_folder(c->cni_bin_dir);
	check_folder(c->gateway_key_file);
	assert(strcmp(c->event_log, "-") == 0 || c->event_log[0] == '/');
	for (size_t i = 0; i < c->n_source_exempt; i++)
		assert(c->source_exempt[i]);
	for (size_t i = 0; i < c->n_cluster_cidrs; i++)
		assert(c->cluster_cidrs[i].len <= 128);
	assert(!c->cni_entry || json_type(c->cni_entry) == JSON_OBJECT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	__cleanup(daemon_conf_done) struct daemon_conf c;
	struct yaml *y = NULL;
	struct err e = {0};
	int r;

	daemon_conf_init(&c);
	r = yaml_open((const char *)data, size, &y, &e);
	if (r == 0) {
		r = documents_parse(&c, y, &e);
		yaml_close(y);
	}
	if (r == 0)
		check(&c);
	else
		assert(*e.msg && !strchr(e.msg, '\n'));
	return 0;
}
