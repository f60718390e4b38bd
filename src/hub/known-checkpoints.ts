/** Which published checkpoints go by a short name, and where does the hub have them? */

/** A published Stable Video Diffusion checkpoint. */
export interface KnownCheckpoint {
  /** What a person types. */
  readonly shortName: string;
  /** `organisation/name` on the hub. */
  readonly repository: string;
}

export const knownCheckpoints: readonly KnownCheckpoint[] = [
  { shortName: "svd", repository: "stabilityai/stable-video-diffusion-img2vid" },
  { shortName: "svd-xt", repository: "stabilityai/stable-video-diffusion-img2vid-xt" },
  { shortName: "svd-xt-1.1", repository: "stabilityai/stable-video-diffusion-img2vid-xt-1-1" },
];

/** By its short name or its repository; upper and lower case are the same. */
export function knownCheckpoint(name: string): KnownCheckpoint | undefined {
  const wanted = name.toLowerCase();
  return knownCheckpoints.find(({ shortName, repository }) => wanted === shortName || wanted === repository);
}
