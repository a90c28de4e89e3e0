/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "source/kube_priv.h"
#include "testkit/fake_world.h"

/* The number of this request among those of its kind. */
static const struct fake_turn *next_turn(struct fake_script *s, const struct fake_request *r)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	bool watch = strstr(r->path, "watch=true");
	struct fake_turn *turns = watch ? s->watches : s->lists;
	const char *question = strchr(r->path, '?');
	unsigned int n;

	pthread_mutex_lock(&lock);
	n = watch ? s->n_watches++ : s->n_lists++;
	if (s->n_asked < FAKE_ASKED) {
		s->asked_ms[s->n_asked] = clock_ms();
		snprintf(s->asked_path[s->n_asked], sizeof(s->asked_path[0]), "%.*s",
			 question ? (int)(question - r->path) : 100, r->path);
		snprintf(s->asked[s->n_asked++], sizeof(s->asked[0]), "%c %.500s",
			 watch ? 'W' : 'L', question ? question : "");
	}
	pthread_mutex_unlock(&lock);
	if (n >= FAKE_TURNS)
		n = FAKE_TURNS - 1;
	while (n > 0 && !turns[n].text)
		n--;
	return &turns[n];
}

static void send_body(struct fake_conn *c, const struct fake_turn *t)
{
	size_t n = strlen(t->text);

	if (t->how & FAKE_DRIP) {
		for (size_t i = 0; i < n && !fake_over(c); i++)
			fake_chunk(c, t->text + i, 1);
	} else if (t->how & FAKE_LORIS) {
		fake_chunk(c, t->text, 1);
		fake_pause(c, 10000);
	} else {
		fake_chunk(c, t->text, n);
	}
}

void fake_play(struct fake_conn *c, const struct fake_request *r, void *data)
{
	const struct fake_turn *t = next_turn(data, r);
	int status = t->status ? t->status : 200;

	if (t->how & FAKE_MUTE) {
		fake_reset(c);
		return;
	}
	if (t->headers) {
		fake_answer(c, status, t->type, t->headers, t->text);
		return;
	}
	fake_head(c, status, t->type);
	send_body(c, t);
	if (t->how & FAKE_TORN) {
		fake_raw(c, "1000\r\n{\"kind\"", 13);
		fake_close(c);
	} else if (t->how & FAKE_HOLD) {
		fake_hold(c);
	} else if (t->how & FAKE_RESET) {
		fake_pause(c, 20); /* what was sent before is to be read */
		fake_reset(c);
	} else {
		fake_end(c);
	}
}
