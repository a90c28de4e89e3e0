/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon_ask.h"

#include "state/socket.h"
#include "text.h"

#define TIMEOUT_MS 5000

int daemon_ask(const struct ctl *ctl, struct json *request, struct json **ret, struct err *e)
{
	__cleanup_json struct json *answer = NULL;

	json_set(request, "v", json_new_int(1));
	if (socket_ask(ctl->conf.run_dir, request, TIMEOUT_MS, &answer, e) < 0)
		return err_wrap(
			e, "sluiced does not answer: is it running? (pods keep what is in force)");
	if (!bool_of(answer, "ok"))
		return err_set(e, -1, "sluiced: %s", text_of(answer, "error") ?: "refused");
	json_del(answer, "v");
	json_del(answer, "ok");
	*ret = TAKE(answer);
	return 0;
}

int daemon_ask_op(const struct ctl *ctl, const char *op, struct json **ret, struct err *e)
{
	__cleanup_json struct json *request = json_new_object();

	json_set(request, "op", json_new_string(op));
	return daemon_ask(ctl, request, ret, e);
}
