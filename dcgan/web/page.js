// Runs once in the browser, for what Gradio does not offer.
() => {
    // What a screen reader says: which face was picked, the seeds of faces, the titles of pictures.
    document.getElementById('status').setAttribute('aria-live', 'polite');
    new MutationObserver(() => {
        document.querySelectorAll('#faces button, #picks .thumbnail-item').forEach(face => {
            const label = `Face ${face.textContent.trim()}`;
            if (face.textContent.trim() && face.ariaLabel !== label) face.ariaLabel = label;
        });
        document.querySelectorAll('button img').forEach(image => {
            if (!image.alt) image.alt = image.closest('.block')?.querySelector('label')?.textContent.trim() || 'Picture';
        });
    }).observe(document.body, {childList: true, subtree: true});

    // The address holds what is shown, so that it can be bookmarked and survives a reload.
    window.writeAddress = (fields, steps, values) => {
        const address = new URL(window.location), step = fields.indexOf('step');
        values[step] = steps[values[step]];
        fields.forEach((field, index) => values[index] === '' ? address.searchParams.delete(field)
            : address.searchParams.set(field, values[index]));
        history.replaceState(null, '', address);
    };
}
