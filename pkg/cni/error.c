/* SPDX-License-Identifier: Apache-2.0 */
#include "cni/error.h"

#include <errno.h>
#include <stddef.h>

#include "json/json.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct {
	enum cni_code code;
	const char *text;
} texts[] = {
	{CNI_OK, "success"},
	{CNI_INCOMPATIBLE_VERSION, "incompatible CNI version"},
	{CNI_UNSUPPORTED_FIELD, "unsupported field in network configuration"},
	{CNI_INVALID_ENV, "invalid environment variables"},
	{CNI_IO_FAILURE, "I/O failure"},
	{CNI_DECODE_FAILURE, "failed to decode content"},
	{CNI_INVALID_CONFIG, "invalid network configuration"},
	{CNI_INVALID_NETNS, "invalid network namespace"},
	{CNI_TRY_AGAIN, "try again later"},
	{CNI_UNAVAILABLE, "plugin not available"},
	{CNI_NOT_GOVERNABLE, "a policy selects this pod and its interface cannot carry it"},
	{CNI_DATAPLANE, "the data plane could not be set up"},
	{CNI_STATE, "the state folder could not be used"},
	{CNI_CHECK_FAILED, "the attachment is not in force"},
};

static const int transient[] = {ETIMEDOUT, EAGAIN, EINTR, EMFILE, ENFILE, ENOBUFS, ENOMEM, ETXTBSY};

enum cni_code cni_code_from(int neg_errno, enum cni_code fallback)
{
	for (size_t i = 0; i < COUNT(transient); i++)
		if (transient[i] == -neg_errno)
			return CNI_TRY_AGAIN;
	return fallback;
}

/* What the code stands for, in a few words. */
static const char *code_text(enum cni_code code)
{
	for (size_t i = 0; i < COUNT(texts); i++)
		if (texts[i].code == code)
			return texts[i].text;
	return "unknown error";
}

char *cni_error_emit(const char *version, enum cni_code code, const char *msg, const char *details)
{
	__cleanup_json struct json *obj = json_new_object();

	json_set(obj, "cniVersion", json_new_string(version));
	json_set(obj, "code", json_new_int(code));
	json_set(obj, "msg", json_new_string(msg && *msg ? msg : code_text(code)));
	if (details && *details)
		json_set(obj, "details", json_new_string(details));
	return json_emit(obj, 0);
}

const char cni_error_no_memory[] =
	"{\"cniVersion\":\"1.1.0\",\"code\":11,\"msg\":\"sluice: out of memory\"}\n";
