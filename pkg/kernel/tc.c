/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/tc.h"

#include <errno.h>
#include <string.h>

#include "kernel/tc_priv.h"

enum tc_mode tc_mode_detect(void)
{
	static enum tc_mode known = TC_MODE_AUTO;

	if (known == TC_MODE_AUTO) {
		int r = tcx_probe();

		if (r < 0)
			return TC_MODE_TCX; /* it will say what the matter is; asked anew next time
					     */
		known = r ? TC_MODE_TCX : TC_MODE_CLSACT;
	}
	return known;
}

int tc_attach(uint32_t ifindex, enum tc_dir dir, enum tc_mode mode, int prog_fd, struct err *e)
{
	struct tc_prog prog;
	int r = tc_prog_info(prog_fd, &prog);

	if (r < 0)
		return err_sys(e, r, "program to attach");
	if (!prog.name[0])
		return err_set(e, -EINVAL, "program %u has no name to know it by", prog.id);
	if (mode == TC_MODE_AUTO)
		mode = tc_mode_detect();
	if (mode == TC_MODE_TCX)
		return tcx_attach(ifindex, dir, &prog, e);
	return clsact_attach(ifindex, dir, &prog, e);
}

/* Both places: the mode may have changed since it was attached (a flag, another kernel). */
int tc_detach(uint32_t ifindex, enum tc_dir dir, const char *prog_name, struct err *e)
{
	if (tc_mode_detect() == TC_MODE_TCX) {
		int r = tcx_detach(ifindex, dir, prog_name, e);

		if (r < 0)
			return r == -ENODEV ? 0 : r;
	}
	return clsact_detach(ifindex, dir, prog_name, e);
}

int tc_query(uint32_t ifindex, enum tc_dir dir, uint32_t prog_id, const char *prog_name,
	     struct tc_state *ret, struct err *e)
{
	struct tc_prog prog = {.fd = -1, .id = prog_id};
	struct tc_state state = {.mode = tc_mode_detect()};
	int r = 0;

	if (strlen(prog_name) >= sizeof(prog.name))
		return err_set(e, -EINVAL, "program name '%s' is too long", prog_name);
	strncpy(prog.name, prog_name, sizeof(prog.name) - 1);
	if (state.mode == TC_MODE_TCX)
		r = tcx_query(ifindex, dir, &prog, &state, e);
	if (r == 0)
		r = clsact_query(ifindex, dir, &prog, &state, e);
	if (r < 0)
		return r;
	*ret = state;
	return 0;
}
