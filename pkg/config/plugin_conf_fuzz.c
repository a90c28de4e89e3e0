/* SPDX-License-Identifier: Apache-2.0 */
/* Any object on stdin is a configuration without holes, or an error that says something. */
#include <assert.h>
#include <stdint.h>

#include "config/plugin_conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	__cleanup_json struct json *j = NULL;
	struct plugin_conf *c = NULL;
	struct err e = {0};

	if (json_parse((const char *)data, size, &j, NULL) < 0 || json_type(j) != JSON_OBJECT)
		return 0;
	if (plugin_conf_parse(j, &c, &e) < 0) {
		assert(!c && *e.msg);
		return 0;
	}
	assert(c->state_dir && c->run_dir && c->bpffs && c->policy_dir);
	for (size_t i = 0; i < c->n_exempt_namespaces; i++)
		assert(c->exempt_namespaces[i]);
	plugin_conf_free(c);
	return 0;
}
