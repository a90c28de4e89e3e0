/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * GC's list of what is still alive. libcni sends it as cni.dev/valid-attachments,
 * and newer ones as cni.dev/attachments too. A key that is missing is not an
 * empty list: `cnitool gc` sends none, and then nothing may be removed.
 */
#include <stdbool.h>
#include <stddef.h>

#include "cni/error.h"
#include "json/json.h"

struct cni_attachments;

/* 0 with *ret NULL when the runtime sent no list; -EINVAL with the place. */
int cni_attachments_parse(const struct json *conf, struct cni_attachments **ret, struct err *e);
void cni_attachments_free(struct cni_attachments *a);
DEFINE_CLEANUP(struct cni_attachments *, cni_attachments_free);
bool cni_attachments_have(const struct cni_attachments *a, const char *container_id,
			  const char *ifname);
