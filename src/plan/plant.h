/* SPDX-License-Identifier: MIT
 * Planted errors: in builds with -Dplant=true the environment variable BRUME_PLANT names a kernel whose results are spoiled after
 * every run, so that tests can demand that `brume compare` and the known-answer tests notice it. Read by such builds only. */
#ifndef BRUME_PLAN_PLANT_H
#define BRUME_PLAN_PLANT_H

#include "plan/plan.h"

/*
 * Runs steps from .. to - 1 as the backend does, and spoils what BRUME_PLANT=OP[.OUT][/VARIANT][@WHERE][:KIND] names:
 *   OP        name of an op; every kernel of it is spoiled, and every fused chain that it takes part in; elementwise: every chain
 *   .OUT      number of the result (of an update: of the tensor that it updates), counted from 0; 0 if left out
 *   /VARIANT  only kernels of this variant ("winograd", "any")
 *   @WHERE    only on this backend (cpu, opencl), or on side a or b of two devices that are compared
 *   :KIND     off (one value off by 1%, the default), sign, zero, nan, inf, scale (all values off by 1%), next (one value taken
 *             from its neighbour), unwritten (the last value is not written). "One value" is the one of largest magnitude.
 * Several are parted by commas. BRUME_E_ARG for a text of another form. A text that no kernel met is told on stderr when the
 * process ends.
 */
brume_status brume_plant_run(struct brume_plan *p, int from, int to);

#endif
