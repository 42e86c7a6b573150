/* SPDX-License-Identifier: MIT
 * Parts of time grids: which times and noise levels, before they become nodes. */
#ifndef BRUME_DIFFUSION_GRID_H
#define BRUME_DIFFUSION_GRID_H

#include "diffusion/sampling.h"

/* Times and sigmas of a grid under construction: n of each, and the sigma of the end. */
struct brume_places {
    int32_t n;
    double *t, *sigma, last;
};

/* Fills t and sigma (room for n + 1) for samplers whose steps are sigmas of a discrete process; n may come back smaller.
 * (sigma_grid.c) */
brume_status brume_places_discrete(const brume_process *p, const brume_scheduler_config *c, enum brume_grid_family family,
                                   struct brume_places *g);
/* Only sigma, between the ends of a process that has no table. */
brume_status brume_places_continuous(const brume_process *p, const brume_scheduler_config *c, struct brume_places *g);
/* sigma = s of flow matching, for its own samplers and for those of other processes. */
brume_status brume_places_flow(const brume_scheduler_config *c, double mu, enum brume_grid_family family, struct brume_places *g);
/* Integer times t of a discrete process, largest first: by spacing, or LCM's; n may come back smaller with sections. */
brume_status brume_places_times(const brume_scheduler_config *c, const brume_sampler_options *o, enum brume_grid_family family,
                                struct brume_places *g);

#endif
