/** How does a comment travel where only XMP is kept? As the description (dc:description) of a packet. */

const entities: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

/** An XMP packet (ISO 16684-1) with the comment as its description. */
export function commentToXmp(comment: string): string {
  const escaped = comment.replace(/[&<>"]/g, (character) => entities[character]!);
  return [
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">',
    '<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:description><rdf:Alt>',
    `<rdf:li xml:lang="x-default">${escaped}</rdf:li>`,
    "</rdf:Alt></dc:description></rdf:Description></rdf:RDF></x:xmpmeta>",
  ].join("");
}

/** The description in a packet, or undefined. */
export function commentFromXmp(xmp: string): string | undefined {
  const description = /<dc:description>.*?<rdf:li[^>]*>([^<]*)<\/rdf:li>/s.exec(xmp)?.[1];
  return description?.replace(/&(?:amp|lt|gt|quot|#34);/g, (entity) => {
    return Object.keys(entities).find((character) => entities[character] === entity) ?? '"';
  });
}
