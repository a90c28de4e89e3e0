/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One pod interface: who the pod is, where its packets enter the host, what is written down. */
#include "dataplane/attach.h"
#include "plugin.h"
#include "state/record.h"

struct attachment {
	struct record *rec; /* policy, key, spread, flags still to be filled */
	char why[192];	    /* why rec->kind is ATTACH_NONE, "" otherwise */
};

/*
 * From the request and one look into the container's namespace. 0 or an enum
 * cni_code. That an interface cannot be governed is not an error here: the kind is
 * ATTACH_NONE and why says so.
 */
int attachment_find(const struct plugin *p, struct attachment *ret, struct err *e);

/* What the record says as the data plane takes it. rec->kind must not be ATTACH_NONE. */
struct dp_attachment attachment_dp(const struct record *rec);
