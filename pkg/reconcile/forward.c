/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What others do to all that is forwarded. A setting that was taken back, or a daemon of before,
 * may have left our rule in DOCKER-USER: the first look takes it out.
 */
#include "base/log.h"
#include "kernel/docker_user.h"
#include "reconcile/priv.h"

void forward_look(struct reconcile *r)
{
	uint32_t mask = r->conf->docker_user ? r->desired->model->nft_model.mark_mask : 0;
	unsigned int accepted = 0;
	struct err e = {0};

	if (mask || !r->forward_looked) {
		int rc = docker_user_apply(r->k.nft, mask, &accepted, &e);

		if (rc < 0 && !r->forward_said)
			log_warn("chain DOCKER-USER not as it is to be", "error=%s",
				 log_quote(e.msg));
		r->forward_said = rc < 0;
		r->forward_looked = rc == 0;
	}
	if (nft_forward_drop(r->k.nft, accepted, r->forward_drop, sizeof(r->forward_drop), NULL) <
	    0)
		r->forward_drop[0] = '\0';
}
