/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "plugin.h"

int verb_version(struct plugin *p, struct err *e)
{
	__cleanup_free char *text = cni_versions_emit(p->req.version);
	int r = reply_print(text);

	if (r < 0) {
		err_sys(e, r, "write stdout");
		return CNI_IO_FAILURE;
	}
	return 0;
}
