/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* explain, of a pod of this node or of a cluster's. */
#include "ctl.h"
#include "destination.h"
#include "view.h"

struct explain_in {
	struct destination dest;
	int64_t at;
	char *namespace; /* NULL: not said */
	char *pod;
	const char *imagined; /* why the kernel is not asked; NULL: it is */
};

/* What the command line asks: CTL_OK, or CTL_USAGE after saying why. */
int explain_read(const struct ctl *ctl, struct explain_in *ret);
void explain_in_done(struct explain_in *in);
/* Answers it from the view's records of the pod, else from who it would be. enum ctl_exit */
int explain_tell(struct ctl *ctl, const struct view *v, const struct explain_in *in);
