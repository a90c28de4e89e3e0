/* SPDX-License-Identifier: Apache-2.0 */
/* Any stdin is a request or an error; of a request, addresses, list and result can be had. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "cni/attachments.h"
#include "cni/request.h"
#include "cni/result.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void request_use(const struct cni_request *req)
{
	__cleanup(cni_attachments_freep) struct cni_attachments *alive = NULL;
	__cleanup_free char *text = NULL;
	__cleanup_json struct json *tree = NULL;
	struct cni_ip ips[8];
	size_t n = 0;

	cni_attachments_parse(req->conf, &alive, NULL);
	if (!req->prev)
		return;
	if (cni_result_addrs(req->prev, "eth0", ips, 8, &n, NULL) == 0)
		assert(n <= 8);
	text = cni_result_emit(req->prev, req->version);
	assert(json_parse(text, strlen(text), &tree, NULL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct cni_env env = {.command = "ADD",
				    .container_id = "c",
				    .netns = "/n",
				    .ifname = "eth0",
				    .path = "/p"};
	struct cni_request req;
	struct err e = {0};

	if (cni_request_parse(&req, &env, (const char *)data, size, &e) == 0)
		request_use(&req);
	else
		assert(*e.msg);
	cni_request_done(&req);
	return 0;
}
