/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What rules with `log` and policies in mode Audit tell, from the pinned ring. One reader. */
#include "bpf/maps.h"

struct bpf_events;

/* Each event is borrowed during the call. */
int bpf_events_open(struct bpf_pins *p, void (*event)(const struct slu_event *event, void *data),
		    void *data, struct bpf_events **ret, struct err *e);
void bpf_events_close(struct bpf_events *events);
int bpf_events_fd(const struct bpf_events *events); /* readable: there are some. Borrowed */
int bpf_events_read(struct bpf_events *events, struct err *e); /* all that are there; how many */
