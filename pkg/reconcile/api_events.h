/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Events on objects (core v1, which every version serves): IPAssigned, IPUnassigned, Conflict,
 * ConflictSettled, Failover, PortsNearlyUsed, ConnectionsNearlyFull, LimitNearlyReached,
 * InvalidPolicy, NotInForce, Quarantined. The same word on the same object within ten minutes is
 * one Event that counts, and is written at most once a minute. They are for people: one that cannot
 * be written is left out.
 */
#include "base/cleanup.h"
#include "reconcile/objects.h"
#include "source/kube.h"

struct api_events;

struct api_events *api_events_new(struct kube *kube, const char *node);
void api_events_free(struct api_events *e);
DEFINE_CLEANUP(struct api_events *, api_events_free);

struct event_said {
	enum collection c; /* of the object it is about */
	const char *namespace, *name;
	const char *uid; /* may be NULL */
	bool warning;
	const char *reason;
};
void api_event(struct api_events *e, const struct event_said *said, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
