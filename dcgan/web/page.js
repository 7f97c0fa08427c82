// Runs once in the browser: what Gradio does not offer.
() => {
    document.getElementById('status').setAttribute('aria-live', 'polite');  // says which face was picked

    // The address holds what is shown, so that it can be bookmarked and survives a reload.
    window.writeAddress = (fields, steps, values) => {
        const address = new URL(window.location);
        values[fields.indexOf('step')] = steps[values[fields.indexOf('step')]];
        fields.forEach((field, index) => values[index] === '' ? address.searchParams.delete(field)
            : address.searchParams.set(field, values[index]));
        history.replaceState(null, '', address);
    };
}
