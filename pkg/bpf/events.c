/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/events.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "bpf/door.h"

#define READ_MAX 512 /* at once: more may come in than can be read, and there is other work */

struct bpf_events {
	struct ring_buffer *ring;
	int n; /* read this time */
	void (*event)(const struct slu_event *event, void *data);
	void *data;
};

static int on_event(void *ctx, void *data, size_t size)
{
	struct bpf_events *events = ctx;

	if (size == sizeof(struct slu_event))
		events->event(data, events->data);
	return ++events->n < READ_MAX ? 0 : -EAGAIN;
}

int bpf_events_open(struct bpf_pins *p, void (*event)(const struct slu_event *event, void *data),
		    void *data, struct bpf_events **ret, struct err *e)
{
	struct bpf_events *events;
	int fd, rc = bpf_map_fd(p, BPF_MAP_EVENTS, &fd, e);

	if (rc < 0)
		return rc;
	events = mem_alloc0(sizeof(*events));
	events->event = event;
	events->data = data;
	events->ring = ring_buffer__new(fd, on_event, events, NULL);
	if (!events->ring) {
		rc = -errno;
		free(events);
		return err_sys(e, rc, "map events: open the ring");
	}
	*ret = events;
	return 0;
}

void bpf_events_close(struct bpf_events *events)
{
	if (!events)
		return;
	ring_buffer__free(events->ring);
	free(events);
}

int bpf_events_fd(const struct bpf_events *events)
{
	return ring_buffer__epoll_fd(events->ring);
}

int bpf_events_read(struct bpf_events *events, struct err *e)
{
	int rc;

	events->n = 0;
	rc = ring_buffer__consume(events->ring);
	return rc < 0 && rc != -EAGAIN ? err_sys(e, rc, "map events: read the ring") : events->n;
}
